"""Compares what a fitted scikit-learn model learned about its inputs with what it is given.

Most encoders are silent about a value that they did not learn: DictVectorizer and
OneHotEncoder(handle_unknown="ignore") give zeros, OrdinalEncoder and TargetEncoder a default. A model that
learned zone "130.0" and is asked about zone "130" therefore gives a wrong number without any error. So the
values that reach each encoder are recorded while the model predicts some probe rows.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier, VotingRegressor
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline

from functions.errors import ModelUnavailable
from functions.features import FEATURES, FeatureTable, RideColumns
from functions.mlmodel import TEXT_DTYPE, ColumnTable, cast_column
from functions.rides import LAST_ZONE

CONTINUOUS = frozenset({"trip_distance", "known_distance", "extra_miles"})
"""Features with too many values to list."""
SHOWN_VALUES = 3
"""Values that an error shows of those that a model learned."""

_MISSING = frozenset({"", "-1", "0", "nan", "none", "<na>", "nat", "null", "unknown", "missing"})
"""Texts, in lower case, that stand for a missing value: a ride has none, so a model may have learned them."""
_MISSING_NUMBERS = (-1, 0)
_ZONES = frozenset(map(str, range(1, LAST_ZONE + 1)))


class LearnedField(NamedTuple):
    """What a DictVectorizer learned about one field of its dicts."""

    as_number: bool
    texts: tuple[str, ...]
    """Its values if they were text."""


class EncoderInput(NamedTuple):
    """One input of an encoder: the values that it learned, and those that it was given."""

    encoder: str
    """The encoder's class."""
    name: str
    """The column's or field's name; "column 0" if it has none."""
    learned: Sequence[Any]
    given: Sequence[Any]


def fitted_parts(estimator: object) -> Iterator[BaseEstimator]:
    """An estimator and all estimators in it, however deep."""
    seen: dict[int, object] = {}
    pending = [estimator]
    while pending:
        part = pending.pop()
        if id(part) in seen:
            continue
        seen[id(part)] = part  # kept, as the id of an object that is gone may be another's
        if isinstance(part, BaseEstimator):
            yield part
            if not isinstance(part, DictVectorizer | CountVectorizer):  # whose vocabularies are large
                pending.extend(vars(part).values())
        elif isinstance(part, Mapping):
            pending.extend(part.values())
        elif isinstance(part, list | tuple) or (isinstance(part, np.ndarray) and part.dtype == object):
            pending.extend(part)


def first_steps(estimator: Any) -> list[Any]:
    """The parts of an estimator that are given its input as it is."""
    inner: list[Any] = []
    if isinstance(estimator, Pipeline):
        inner = [step for _, step in estimator.steps if step not in (None, "passthrough")][:1]
    elif isinstance(estimator, FeatureUnion):
        inner = [step for _, step in estimator.transformer_list if step not in ("drop", "passthrough")]
    elif isinstance(estimator, TransformedTargetRegressor):
        inner = [estimator.regressor_]
    elif isinstance(estimator, GridSearchCV | RandomizedSearchCV):
        inner = [estimator.best_estimator_]
    elif isinstance(estimator, VotingRegressor | VotingClassifier | StackingRegressor | StackingClassifier):
        inner = list(estimator.estimators_)
    return [step for part in inner for step in first_steps(part)] or [estimator]


def learned_fields(vectorizers: Iterable[DictVectorizer]) -> dict[str, LearnedField]:
    """The fields that DictVectorizers learned.

    Raises ModelUnavailable if a field was sometimes a number and sometimes a text.
    """
    texts: dict[str, list[str]] = {}
    numbers = set()
    for vectorizer in vectorizers:
        for feature in vectorizer.feature_names_:
            name, text = _split(str(feature), vectorizer.separator)
            learned = texts.setdefault(name, [])
            if text is None:
                numbers.add(name)
            else:
                learned.append(text)
    if mixed := [name for name in numbers if texts[name]]:
        raise ModelUnavailable(
            f"the model learned {', '.join(sorted(mixed))} both as a number and as text "
            f"({_shown(texts[min(mixed)])}), so what to ask it is not known: fit it on one type"
        )
    return {name: LearnedField(name in numbers, tuple(learned)) for name, learned in texts.items()}


def _split(feature: str, separator: str) -> tuple[str, str | None]:
    """A DictVectorizer's feature as the field and its text; None if the field was a number."""
    for name in FEATURES:  # first, since a separator can occur in a name: PU_DO
        if feature == name:
            return name, None
        if feature.startswith(name + separator):
            return name, feature.removeprefix(name + separator)
    if not separator or separator not in feature:
        return feature, None
    name, _, text = feature.partition(separator)
    return name, text


def check_rides(estimator: Any, predict: Callable[[FeatureTable], object], columns: Sequence[str]) -> None:
    """Tests whether a model's encoders learned only values that rides have.

    Args:
        predict: calls the estimator with rides.
        columns: the features that it takes.

    Raises:
        ModelUnavailable: they learned others, which the message shows.
    """
    _reject_hashing(estimator)
    rides = FeatureTable(_PROBE)
    with _recorded_inputs(estimator) as inputs, suppress(Exception):
        # An encoder that raises an exception for a new value is not silent. `load_model` shows it.
        predict(rides)
    every_ride = FeatureTable(_every_ride())
    for item in (item for encoder, rows in inputs for item in _inputs_of(encoder, rows)):
        _check_kind(item)
        feature = next((name for name in columns if _is_feature(item.given, rides[name])), None)
        if feature:
            _check_values(item._replace(name=feature), every_ride)
        else:
            _check_forms(item)


def check_table(
    estimator: Any, predict: Callable[[ColumnTable], object], columns: Mapping[str, str], example: ColumnTable
) -> None:
    """Tests whether a model's encoders learned numbers where they are given numbers, and text where text.

    Args:
        predict: calls the estimator with a table.
        columns: the table's columns with their MLflow types.
        example: rows of such a table; empty if there are none.

    Raises:
        ModelUnavailable: they did not.
    """
    row = {
        name: np.array(["text"], TEXT_DTYPE) if kind == "string" else np.zeros(1)
        for name, kind in columns.items()
    }
    with _recorded_inputs(estimator) as inputs, suppress(Exception):
        predict(example or row)
    for encoder, rows in inputs:
        for item in _inputs_of(encoder, rows):
            _check_kind(item)


def _reject_hashing(estimator: Any) -> None:
    for part in fitted_parts(estimator):
        if isinstance(part, FeatureHasher | HashingVectorizer):
            raise ModelUnavailable(
                f"the model hashes its input ({type(part).__name__}) and keeps no names, so whether a ride "
                "has the values that it learned is not known: fit it with a DictVectorizer or OneHotEncoder"
            )


def _probe_rides() -> RideColumns:
    """Each zone once as the pick-up and once as the drop-off, at all hours and on all days."""
    zones = np.arange(1, LAST_ZONE + 1)
    minutes = (zones * 61 % 1440).astype(np.float64)
    minutes[-9:] = np.nan
    weekdays = np.where(np.isnan(minutes), np.nan, zones % 7.0)
    return RideColumns(zones, zones * 7 % LAST_ZONE + 1, np.round(zones * 0.13, 2), minutes, weekdays)


_PROBE = _probe_rides()


@contextmanager
def _recorded_inputs(estimator: Any) -> Iterator[list[tuple[Any, Any]]]:
    """Records the encoders in an estimator with the rows that each is given while the block runs."""
    inputs: list[tuple[Any, Any]] = []
    encoders: list[Any] = [part for part in fitted_parts(estimator) if _is_encoder(part)]

    def record(encoder: Any, rows: Any) -> Any:
        rows = rows if hasattr(rows, "shape") else list(rows)
        inputs.append((encoder, rows))
        return type(encoder).transform(encoder, rows)

    for encoder in encoders:
        encoder.transform = partial(record, encoder)
    try:
        yield inputs
    finally:
        for encoder in encoders:
            del encoder.transform


def _is_encoder(part: Any) -> bool:
    learned = isinstance(part, DictVectorizer | CountVectorizer) or hasattr(part, "categories_")
    return learned and hasattr(part, "transform")


def _inputs_of(encoder: Any, rows: Any) -> Iterator[EncoderInput]:
    """What each input of an encoder learned and was given."""
    name = type(encoder).__name__
    if isinstance(encoder, DictVectorizer):
        for field, learned in learned_fields([encoder]).items():
            given = [row[field] for row in rows if field in row]
            numbers = _by_kind(given)[1] or [0.0]  # all numbers are as good
            yield EncoderInput(name, field, learned.texts or numbers, given)
    elif isinstance(encoder, CountVectorizer):
        words = encoder.build_analyzer()
        given = [word for text in rows for word in words(text)]
        yield EncoderInput(name, "words", list(encoder.vocabulary_), given)
    else:
        frame = pd.DataFrame(rows)
        for number, categories in enumerate(encoder.categories_):
            column = frame.iloc[:, number]
            label = column.name if isinstance(column.name, str) else f"column {number}"
            yield EncoderInput(name, label, np.asarray(categories).tolist(), column.tolist())


def _check_kind(item: EncoderInput) -> None:
    texts, numbers = _by_kind(item.learned)
    given_texts, given_numbers = _by_kind(item.given)
    if texts and given_numbers:
        learned, given, declared = "text", "numbers", "string"
    elif numbers and given_texts:
        learned, given, declared = "numbers", "text", "long or double"
    elif not item.given:
        raise ModelUnavailable(f"the model's {item.encoder} learned {item.name}, which it is never given")
    else:
        return
    raise ModelUnavailable(
        f"the model's {item.encoder} learned {item.name} as {learned} ({_shown(texts or numbers)}), but is "
        f"given {given} ({_shown(given_texts or given_numbers)}). Log the model with a signature in which "
        f"this column is {declared}, or fit it on {given}"
    )


def _check_values(item: EncoderInput, every_ride: FeatureTable) -> None:
    """Raises ModelUnavailable if rides cannot have the learned values of a feature."""
    texts, numbers = _by_kind(item.learned)
    possible: frozenset[Any]
    if item.name in CONTINUOUS:
        possible = frozenset(numbers)
    elif texts:
        possible = frozenset(cast_column(every_ride[item.name], TEXT_DTYPE).tolist())
    else:
        possible = frozenset(every_ride[item.name].tolist())
    wrong = [value for value in texts or numbers if value not in possible and not _is_missing(value)]
    if wrong or not possible.intersection(texts or numbers):
        raise _never_given(item, wrong or texts or numbers)


def _check_forms(item: EncoderInput) -> None:
    """Raises ModelUnavailable if learned texts look different from all given ones.

    The input was computed from the features, so that not all possible values are known: "08" and "8" differ,
    "8" and "9" do not.
    """
    texts, _ = _by_kind(item.learned)
    possible = frozenset(map(_form, _by_kind(item.given)[0]))
    wrong = [text for text in texts if _form(text) not in possible and not _is_missing(text)]
    if wrong:
        raise _never_given(item, wrong)


def _never_given(item: EncoderInput, values: Sequence[str | float]) -> ModelUnavailable:
    given_texts, given_numbers = _by_kind(item.given)
    return ModelUnavailable(
        f"the model learned values of {item.name} that no ride has ({len(values)} of {len(item.learned)}: "
        f"{_shown(values)}); a ride has {_shown(given_texts or given_numbers)}. Fit it on values as rides "
        "have them; in pandas, astype(int).astype(str) writes 130, not 130.0"
    )


def _by_kind(values: Iterable[Any]) -> tuple[list[str], list[Any]]:
    """The texts and the numbers among values; missing values are neither."""
    known = [value for value in values if not (value is None or value is pd.NA or value != value)]  # noqa: PLR0124
    return [value for value in known if isinstance(value, str)], [
        value for value in known if isinstance(value, Number)
    ]


def _is_feature(given: Sequence[Any], column: Any) -> bool:
    """Whether the values that an encoder was given are a feature's, apart from replaced missing ones."""
    if len(given) != len(column):
        return False
    if all(isinstance(value, str) for value in given):
        return bool(cast_column(column, TEXT_DTYPE).tolist() == list(given))
    if column.dtype == TEXT_DTYPE or not all(isinstance(value, Number) for value in given):
        return False
    known = ~np.isnan(column.astype(np.float64))
    return bool(np.array_equal(np.array(given, np.float64)[known], column[known]))


def _is_missing(value: Any) -> bool:
    """Whether a learned value, or a part of a pair of zones, stands for a missing one."""
    if not isinstance(value, str):
        return value in _MISSING_NUMBERS
    missing = [part.lower() in _MISSING for part in value.split("_")]
    return any(missing) and all(
        gone or part in _ZONES for part, gone in zip(value.split("_"), missing, strict=True)
    )


def _form(text: str) -> str:
    """A text with # for each number: "130_205" and "7_12" have the same form, "130.0" and "007" do not."""
    return re.sub(r"(?<!\d)[1-9]\d*|(?<!\d)0(?!\d)", "#", text)


def _every_ride() -> RideColumns:
    """Rides with all pairs of zones, all minutes of the day and all days of the week."""
    numbers = np.arange(LAST_ZONE * LAST_ZONE)
    return RideColumns(
        numbers // LAST_ZONE + 1,
        numbers % LAST_ZONE + 1,
        np.zeros(len(numbers)),
        (numbers % 1440).astype(np.float64),
        (numbers % 7).astype(np.float64),
    )


def _shown(values: Sequence[Any]) -> str:
    """The first few values, for an error."""
    distinct = list(dict.fromkeys(values))
    quoted = [f'"{value}"' if isinstance(value, str) else str(value) for value in distinct[:SHOWN_VALUES]]
    return ", ".join([*quoted, "…"] if len(distinct) > SHOWN_VALUES else quoted)
