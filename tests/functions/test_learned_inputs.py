"""Models that learned inputs in a form that rides do not have, next to models that rides suit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor, VotingRegressor
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, TargetEncoder

from functions.errors import ModelUnavailable
from functions.features import FEATURES, FeatureTable
from functions.learned_inputs import first_steps, fitted_parts, learned_fields
from functions.mlmodel import InputColumn
from functions.sklearn_model import DataFrameScorer, DictScorer
from tests.models import some_rides

Change = Callable[[pd.DataFrame], pd.DataFrame]

RIDES = some_rides(400)
TABLE = FeatureTable(RIDES)
MINUTES = 3 + 2.5 * RIDES.trip_distance + RIDES.PULocationID / 50
ZONES = ["PULocationID", "DOLocationID"]
FRAME = pd.DataFrame({name: TABLE[name] for name in (*ZONES, "trip_distance")})
PAIRS = pd.DataFrame({name: TABLE[name] for name in ("PU_DO", "trip_distance")})
AS_TEXT = dict.fromkeys(ZONES, "string")
UNKNOWN_ZONES = 5
"""Rows in which a zone was missing when the model was fitted."""


def text(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(dict.fromkeys(ZONES, str))


def float_text(frame: pd.DataFrame) -> pd.DataFrame:
    return text(frame.astype(dict.fromkeys(ZONES, float)))


def floats(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(dict.fromkeys(ZONES, float))


def with_missing(frame: pd.DataFrame) -> pd.DataFrame:
    frame = text(frame)
    frame.loc[: UNKNOWN_ZONES - 1, "PULocationID"] = "-1"
    return frame


def renumbered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(PULocationID=frame["PULocationID"] + 10_000)


def named(frame: pd.DataFrame) -> pd.DataFrame:
    return text(frame).assign(PULocationID=[f"Zone {zone}" for zone in frame["PULocationID"]])


def dashed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(PU_DO=frame["PU_DO"].str.replace("_", "-"))


def float_pairs(frame: pd.DataFrame) -> pd.DataFrame:
    pairs = zip(*RIDES[:2], strict=True)
    return frame.assign(PU_DO=[f"{pickup:.1f}_{dropoff:.1f}" for pickup, dropoff in pairs])


def encoded(encoder: Any, columns: Any, model: Any = None) -> Pipeline:
    transformer = make_column_transformer((encoder, columns), remainder="passthrough", n_jobs=1)
    return make_pipeline(transformer, model or LinearRegression())


def one_hot(columns: Any = ZONES) -> Pipeline:
    return encoded(OneHotEncoder(handle_unknown="ignore"), columns)


ORDINAL = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
TO_TEXT = FunctionTransformer(lambda rows: rows.astype(str))
TO_DICTS = FunctionTransformer(lambda rows: rows.to_dict("records"))


def scorer(model: Any, frame: pd.DataFrame, types: dict[str, str]) -> DataFrameScorer:
    declared = {"PULocationID": "long", "DOLocationID": "long", "PU_DO": "string"} | types
    columns = [InputColumn(name, declared.get(name, "double")) for name in frame]
    with np.errstate(all="ignore"):
        return DataFrameScorer(model.fit(frame, MINUTES), columns)


@pytest.mark.parametrize(
    ("model", "change", "types"),
    [
        pytest.param(one_hot(), floats, {}, id="floats for whole numbers"),
        pytest.param(one_hot(), floats, dict.fromkeys(ZONES, "double"), id="floats"),
        pytest.param(one_hot(), text, AS_TEXT, id="text"),
        pytest.param(encoded(ORDINAL, ZONES), text, AS_TEXT, id="ordinal"),
        pytest.param(encoded(TargetEncoder(), ZONES), text, AS_TEXT, id="target"),
        pytest.param(
            encoded(make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), ZONES),
            floats,
            {},
            id="imputed",
        ),
        pytest.param(encoded(make_pipeline(TO_TEXT, OneHotEncoder()), ZONES), pd.DataFrame, {}, id="to text"),
        pytest.param(make_pipeline(TO_DICTS, DictVectorizer(), Ridge()), text, AS_TEXT, id="dicts of text"),
        pytest.param(make_pipeline(TO_DICTS, DictVectorizer(), Ridge()), floats, {}, id="dicts of numbers"),
        pytest.param(
            TransformedTargetRegressor(one_hot(), func=np.log1p, inverse_func=np.expm1),
            text,
            AS_TEXT,
            id="log",
        ),
        pytest.param(VotingRegressor([("a", one_hot()), ("b", one_hot(["PULocationID"]))]), text, AS_TEXT),
    ],
)
def test_a_model_that_learned_what_rides_have_gives_its_own_number(
    model: Any, change: Change, types: dict[str, str]
) -> None:
    frame = change(FRAME)
    served = scorer(model, frame, types)
    served.check_inputs({})
    assert served.score(TABLE, len(frame)).tolist() == model.predict(frame).tolist()


def test_a_category_for_missing_zones_is_never_asked_for() -> None:
    frame = with_missing(FRAME)
    model = one_hot()
    served = scorer(model, frame, AS_TEXT)
    served.check_inputs({})
    own = model.predict(frame).tolist()
    assert served.score(TABLE, len(frame)).tolist()[UNKNOWN_ZONES:] == own[UNKNOWN_ZONES:]


def test_pairs_of_zones_are_text() -> None:
    model = one_hot(["PU_DO"])
    served = scorer(model, PAIRS, {})
    served.check_inputs({})
    assert served.score(TABLE, len(PAIRS)).tolist() == model.predict(PAIRS).tolist()


@pytest.mark.parametrize(
    ("model", "change", "types", "expected"),
    [
        (one_hot(), float_text, AS_TEXT, r'PULocationID that no ride has.*"1\.0".*a ride has "1"'),
        (one_hot(), named, AS_TEXT, 'PULocationID that no ride has.*"Zone 1"'),
        (one_hot(), renumbered, {}, "PULocationID that no ride has.*10001"),
        (one_hot(), text, {}, "PULocationID as text .*, but is given numbers .* this column is string"),
        (
            one_hot(),
            pd.DataFrame,
            AS_TEXT,
            "PULocationID as numbers .*, but is given text .* long or double",
        ),
        (encoded(ORDINAL, ZONES), float_text, AS_TEXT, "PULocationID that no ride has"),
        (encoded(ORDINAL, ZONES), text, {}, "OrdinalEncoder learned PULocationID as text"),
        (encoded(TargetEncoder(), ZONES), float_text, AS_TEXT, "PULocationID that no ride has"),
        (
            encoded(
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
                ),
                ZONES,
            ),
            float_text,
            AS_TEXT,
            "PULocationID that no ride has",
        ),
        (
            encoded(make_pipeline(TO_TEXT, OneHotEncoder(handle_unknown="ignore")), ZONES),
            floats,
            {},
            r'that no ride has.*"1\.0"',
        ),
        (
            make_pipeline(TO_DICTS, DictVectorizer(), Ridge()),
            float_text,
            AS_TEXT,
            r'DOLocationID that no ride has.*"1\.0"',
        ),
        (make_pipeline(TO_DICTS, DictVectorizer(), Ridge()), text, {}, "learned DOLocationID as text"),
        (
            make_pipeline(TO_DICTS, FeatureHasher(16), Ridge()),
            text,
            AS_TEXT,
            "hashes its input .FeatureHasher. and keeps no names",
        ),
        (
            GridSearchCV(one_hot(), {"linearregression__fit_intercept": [True]}, cv=2),
            float_text,
            AS_TEXT,
            "no ride has",
        ),
        (VotingRegressor([("a", one_hot()), ("b", Ridge())]), float_text, AS_TEXT, "no ride has"),
    ],
)
def test_a_model_that_learned_other_values_of_zones_is_refused(
    model: Any, change: Change, types: dict[str, str], expected: str
) -> None:
    served = scorer(model, change(FRAME), types)
    with pytest.raises(ModelUnavailable, match=expected):
        served.check_inputs({})


@pytest.mark.parametrize(("change", "example"), [(dashed, '"1-'), (float_pairs, r'"1\.0_')])
@pytest.mark.parametrize("encoder", [OneHotEncoder(handle_unknown="ignore"), CountVectorizer()])
def test_a_model_that_learned_other_pairs_is_refused(change: Change, example: str, encoder: Any) -> None:
    column = "PU_DO" if isinstance(encoder, CountVectorizer) else ["PU_DO"]
    served = scorer(encoded(encoder, column), change(PAIRS), {})
    with pytest.raises(ModelUnavailable, match="that no ride has"):
        served.check_inputs({})


@pytest.mark.parametrize("as_category", [True, False])
@pytest.mark.parametrize(
    ("change", "types", "expected"),
    [
        (pd.DataFrame, {}, ""),
        (text, AS_TEXT, ""),
        (float_text, AS_TEXT, "PULocationID that no ride has"),
        (text, {}, "PULocationID as text"),
    ],
)
def test_categories_of_boosted_trees_are_compared_too(
    as_category: bool, change: Change, types: dict[str, str], expected: str
) -> None:
    zones = {name: FRAME[name] % 200 + 1 for name in ZONES}
    frame = change(FRAME.assign(**zones))
    if as_category:
        frame = frame.astype(dict.fromkeys(ZONES, "category"))
    trees = HistGradientBoostingRegressor(
        max_iter=2, categorical_features="from_dtype" if as_category else ZONES
    )
    served = scorer(trees, frame, types)
    if not expected:
        served.check_inputs({})
        rides = RIDES._replace(**{name: zone.to_numpy() for name, zone in zones.items()})
        assert served.score(FeatureTable(rides), len(frame)).tolist() == trees.predict(frame).tolist()
    else:
        with pytest.raises(ModelUnavailable, match=expected):
            served.check_inputs({})


def dict_scorer(records: list[dict[str, Any]], separator: str = "=") -> tuple[DictScorer, Any]:
    model = make_pipeline(DictVectorizer(separator=separator), LinearRegression()).fit(records, MINUTES)
    return DictScorer(model, learned_fields([model.steps[0][1]])), model


@pytest.mark.parametrize("separator", ["=", "_", ":"])
@pytest.mark.parametrize("change", [text, pd.DataFrame, floats])
def test_a_dict_vectorizer_gets_the_fields_and_types_that_it_learned(change: Change, separator: str) -> None:
    frame = change(FRAME).assign(zone_pair=TABLE["zone_pair"].astype(float))
    served, model = dict_scorer(frame.to_dict("records"), separator)
    served.check_inputs({})
    assert sorted(served.columns) == sorted(frame)
    assert served.score(TABLE, len(frame)).tolist() == model.predict(frame.to_dict("records")).tolist()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (float_text, r'DOLocationID that no ride has .*"1\.0"'),
        (named, 'PULocationID that no ride has .*"Zone 1"'),
        (
            lambda frame: frame.assign(trip_distance=frame["trip_distance"].astype(str)),
            "trip_distance that no",
        ),
        (lambda frame: frame.assign(pickup_weekday="Monday"), 'pickup_weekday that no ride has .*"Monday"'),
    ],
)
def test_a_dict_vectorizer_with_other_values_is_refused(change: Change, expected: str) -> None:
    served, _ = dict_scorer(change(FRAME).to_dict("records"))
    with pytest.raises(ModelUnavailable, match=expected):
        served.check_inputs({})


@pytest.mark.parametrize("name", ["PUlocationID", "hour", "trip_miles"])
def test_a_dict_vectorizer_asks_for_a_field_that_no_ride_has(name: str) -> None:
    served, _ = dict_scorer(FRAME.rename(columns={"trip_distance": name}).to_dict("records"))
    assert [column for column in served.columns if column not in FEATURES] == [name]


def test_a_field_that_was_number_and_text_is_refused() -> None:
    records = FRAME.to_dict("records")
    records[0]["PULocationID"] = "130"
    with pytest.raises(ModelUnavailable, match=r'PULocationID both as a number and as text \("130"\)'):
        dict_scorer(records)


def test_the_columns_are_those_that_the_model_was_fitted_on_in_their_order() -> None:
    model = HistGradientBoostingRegressor(max_iter=2).fit(FRAME, MINUTES)
    columns = [InputColumn(name, "double") for name in ("extra", *reversed(FRAME.columns))]
    served = DataFrameScorer(model, columns)
    assert served.columns == tuple(FRAME)
    assert served.score(TABLE, len(FRAME)).tolist() == model.predict(FRAME).tolist()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (FRAME, "fitted on .*, but its signature lacks DOLocationID"),
        (FRAME.to_numpy(), "fitted on 3 columns, but"),
    ],
)
def test_a_signature_with_other_columns_is_refused(rows: Any, expected: str) -> None:
    model = RandomForestRegressor(2).fit(rows, MINUTES)
    with pytest.raises(ModelUnavailable, match=expected):
        DataFrameScorer(model, [InputColumn(name, "double") for name in ("PULocationID", "trip_distance")])


@pytest.mark.parametrize("example", [{}, {"city": np.array(["Newark"], object), "age": np.array([np.nan])}])
def test_encoders_of_other_tables_are_compared_by_type(example: dict[str, Any]) -> None:
    frame = pd.DataFrame({"city": ["Newark", "Yonkers"] * 4, "age": [30.0, 40.0] * 4})
    model = encoded(OneHotEncoder(handle_unknown="ignore"), ["city", "age"]).fit(frame, range(8))
    DataFrameScorer(model, [InputColumn("city", "string"), InputColumn("age", "double")]).check_inputs(
        example
    )
    swapped = DataFrameScorer(model, [InputColumn("city", "string"), InputColumn("age", "string")])
    example = example and example | {"age": np.array(["30"], object)}
    with pytest.raises(ModelUnavailable, match=r"age as numbers \(30\.0, 40\.0\), but is given text"):
        swapped.check_inputs(example)


def test_parts_and_first_steps_are_found_however_deep() -> None:
    vectorizer = DictVectorizer()
    model = make_pipeline(make_pipeline(vectorizer, RandomForestRegressor(3)))
    model.fit(FRAME.head(20).to_dict("records"), MINUTES[:20])
    assert first_steps(model) == [vectorizer]
    assert len([part for part in fitted_parts(model) if hasattr(part, "tree_")]) == 3
