"""Reads months of trips, with the predictions that `score` stored or with new ones of a model."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from functions.features import FeatureTable, RideColumns
from functions.model import Model
from jobs.metrics import Minutes
from jobs.monitoring.dataset import Rides
from jobs.scoring.database import Database
from jobs.scoring.engine import BATCH_ROWS, CORES, IMPLAUSIBLE
from jobs.storage.columns import Mask
from jobs.storage.errors import FileAccessError
from jobs.trips.records import TripReader, open_trips

READ_ROWS = 1 << 18

_SQL = """
select regexp_extract(ride_id, '_([0-9]+)$', 1)::bigint as file_row, coalesce(model_version, '') as version,
    PULocationID, DOLocationID, predicted_duration as minutes
from predictions
where taxi_type = '{taxi}' and year = {year} and month = {month}
    and predicted_duration is not null and regexp_matches(ride_id, '_[0-9]+$')
"""


def read_months(uris: Sequence[str], predictions: Database | None, model: Model | None) -> Rides:
    """The rides of at least one file of trips.

    Args:
        uris: files of trips, as for `score`.
        predictions: stored predictions; if it has some for a file's month, those of all versions are used.
        model: predicts the other files; without it these have no predictions.

    Raises:
        FileAccessError: a file cannot be read, or the stored predictions belong to another file.
        ModelUnavailable: the model failed.
    """
    return Rides.concatenate([_read_month(uri, predictions, model) for uri in uris])


def _read_month(uri: str, predictions: Database | None, model: Model | None) -> Rides:
    with open_trips(uri) as file:
        parts = [Rides.from_trips(file.trips(batch)) for batch in file.batches(READ_ROWS)]
    rides = Rides.concatenate(rides for rides, _ in parts)
    accepted = np.concatenate([mask for _, mask in parts])
    if predictions and (stored := _stored_predictions(predictions, file, accepted, rides.columns)):
        return replace(rides, predictions_by_version=stored)
    return _predict(model, rides) if model else rides


def _predict(model: Model, rides: Rides) -> Rides:
    """The rides with a model's predictions; those with an impossible one are rejected."""

    def predict(first: int) -> Minutes:
        batch = RideColumns._make(column[first : first + BATCH_ROWS] for column in rides.columns)
        return model.score(FeatureTable(batch), len(batch.PULocationID))

    # As in `score`, each call of the model uses one core.
    with ThreadPoolExecutor(CORES) as pool:
        minutes = np.concatenate([np.empty(0), *pool.map(predict, range(0, len(rides), BATCH_ROWS))])
    plausible = model.plausible(minutes)
    rejected = rides.rejected + Counter({IMPLAUSIBLE: int((~plausible).sum())})
    predicted = replace(rides, predictions_by_version={model.version: minutes}, rejected=rejected)
    return predicted.select(plausible)


def _stored_predictions(
    predictions: Database, file: TripReader, accepted: Mask, columns: RideColumns
) -> dict[str, Minutes]:
    """Version → its predictions for the accepted trips of a file; empty if there are none for the month."""
    month, taxi = file.month(), file.taxi
    if not taxi:
        raise FileAccessError(
            f"cannot find the predictions for {file.uri}: its columns do not tell the kind of taxi; leave "
            "out --predictions"
        )
    found = predictions.fetch_columns(_SQL.format(taxi=taxi, year=month.year, month=month.month))
    file_rows = np.asarray(found["file_row"])
    if not len(file_rows):
        return {}
    ride_of_row = np.where(accepted, np.cumsum(accepted) - 1, -1)
    rides = ride_of_row[file_rows] if file_rows.max() < len(ride_of_row) else np.array([-1])
    zones = ("PULocationID", "DOLocationID")
    if rides.min() < 0 or any((getattr(columns, zone)[rides] != found[zone]).any() for zone in zones):
        raise FileAccessError(
            f"the stored predictions for {taxi} taxis in {month:%Y-%m} do not belong to {file.uri}: score it "
            "again, or give the file that was scored"
        )
    versions, codes = np.unique(np.asarray(found["version"], str), return_inverse=True)
    stored = {}
    for code, version in enumerate(versions.tolist()):
        stored[version] = np.full(len(columns.PULocationID), np.nan)
        stored[version][rides[codes == code]] = found["minutes"][codes == code]
    return stored
