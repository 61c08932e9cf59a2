"""Months of trips, with the predictions that `score` wrote for them or those that a model makes now."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from functions.features import Features, RideColumns
from functions.model import Model
from jobs.metrics import Minutes
from jobs.monitoring.dataset import Rides
from jobs.scoring.database import Database
from jobs.scoring.engine import BATCH_ROWS, CORES, IMPLAUSIBLE
from jobs.storage.files import FileAccessError
from jobs.trips.months import month_in_name
from jobs.trips.records import Mask, open_trips

READ_ROWS = 1 << 18

_SQL = """
select regexp_extract(ride_id, '_([0-9]+)$', 1)::bigint as place, coalesce(model_version, '') as version,
    PULocationID, DOLocationID, predicted_duration as minutes
from predictions
where taxi_type = '{taxi}' and year = {year} and month = {month}
    and predicted_duration is not null and regexp_matches(ride_id, '_[0-9]+$')
"""


def read_month(place: str, predictions: Database | None, model: Model | None) -> Rides:
    """The rides of a file of trips.

    Args:
        place: as `score` takes it.
        predictions: those of this month, whatever versions made them, are taken …
        model: … or else this one predicts; without either there are none.

    Raises:
        FileAccessError: the file cannot be read, or the predictions are of another.
        ModelUnavailable: the model failed.
    """
    with open_trips(place) as file:
        parts: list[Rides] = []
        kept: list[Mask] = []
        for batch in file.batches(READ_ROWS):
            rides, keep = Rides.of(file.trips(batch))
            parts.append(rides)
            kept.append(keep)
        taxi = file.taxi
    rides, keep = Rides.joined(parts), np.concatenate(kept)
    if predictions and (found := _written(predictions, place, taxi, keep, rides.columns)):
        return replace(rides, by_version=found)
    return predicted_by(model, rides) if model else rides


def read_months(places: Sequence[str], predictions: Database | None, model: Model | None) -> Rides:
    """The rides of at least one file; see `read_month`."""
    return Rides.joined([read_month(place, predictions, model) for place in places])


def predicted_by(model: Model, rides: Rides) -> Rides:
    """The same rides with a model's predictions; its numbers that cannot be are counted as rejected.

    Raises:
        ModelUnavailable: the model failed.
    """

    def predict(first: int) -> Minutes:
        batch = RideColumns._make(column[first : first + BATCH_ROWS] for column in rides.columns)
        return model.score(Features(batch), len(batch.PULocationID))

    # As `score` does it: one call of the model on one core.
    with ThreadPoolExecutor(CORES) as pool:
        minutes = np.concatenate([np.empty(0), *pool.map(predict, range(0, len(rides), BATCH_ROWS))])
    plausible = model.plausible(minutes)
    predicted = replace(rides, by_version={model.version: minutes})
    if plausible.all():
        return predicted
    rejected = rides.rejected.copy()
    rejected[IMPLAUSIBLE] += int((~plausible).sum())
    return replace(predicted.only(plausible), rejected=rejected)


def _written(
    predictions: Database, place: str, taxi: str, keep: Mask, columns: RideColumns
) -> dict[str, Minutes]:
    """Version → its predictions for the kept trips of a file; empty where there are none of that month."""
    month = month_in_name(place)
    if not taxi:
        raise FileAccessError(
            f"the columns of {place} do not say of which taxis it is: its predictions cannot be found"
        )
    found = predictions.columns(_SQL.format(taxi=taxi, year=month.year, month=month.month))
    rows = np.asarray(found["place"])
    if not len(rows):
        return {}
    places = np.where(keep, np.cumsum(keep) - 1, -1)  # of the file's rows among the rides
    where = places[rows] if rows.max() < len(places) else np.array([-1])
    zones = ("PULocationID", "DOLocationID")
    if where.min() < 0 or any((getattr(columns, zone)[where] != found[zone]).any() for zone in zones):
        raise FileAccessError(
            f"the predictions of {taxi} taxis of {month:%Y-%m} are not those of {place}: score it again, or "
            "give the file that was scored"
        )
    versions, codes = np.unique(np.asarray(found["version"], str), return_inverse=True)
    written = {}
    for code, version in enumerate(versions.tolist()):
        written[version] = np.full(len(columns.PULocationID), np.nan)
        written[version][where[codes == code]] = found["minutes"][codes == code]
    return written
