"""Rows that are taxi trips: features as the functions make them, predictions in the course's columns."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from functions.features import Features
from functions.model import Model
from functions.rides import LONGEST_TRIP_MILES
from jobs.scoring.layout import month_partition
from jobs.scoring.protocols import Mask, Numbers, Places, only
from jobs.trips.records import TripFile, Trips, broken_rules, columns_of, mended_distances, minutes_of

DURATION = "ride_duration"
"""The target whose actual values a file of trips holds."""


class ScoredTrips:
    """A file of trips.

    Args:
        taxi: `green` or `yellow`.
        month: of the file; with a trip's place in it, it makes the trip's id.
        columns: those that are written; all if empty.
    """

    def __init__(
        self, file: TripFile, model: Model, taxi: str, month: date, columns: tuple[str, ...] = ()
    ) -> None:
        self.place, self.rows = file.place, file.rows
        self.partition = month_partition(taxi, month)
        self.source_columns = list(file.names.values())
        self.batches = file.batches
        self.trips = file.trips
        self.names = file.names
        self.model = model
        self.month = f"{month:%Y/%m}"
        self.columns = columns

    def judge(self, batch: pa.RecordBatch, first: int) -> "TripBatch":
        return TripBatch(self, batch, first)


class TripBatch:
    """Some of its trips."""

    def __init__(self, file: ScoredTrips, batch: pa.RecordBatch, first: int) -> None:
        self._file = file
        self._batch = batch
        self._first = first
        self._trips = file.trips(batch)
        miles = mended_distances(self._trips)
        self.faults = broken_rules(self._trips)
        self.mended: Mapping[str, Mask] = {
            f"distance missing, below 0 or over {LONGEST_TRIP_MILES:g} miles": miles
            != self._trips.trip_distance
        }
        self._trips = self._trips._replace(trip_distance=miles)

    def table(self, places: Places) -> Mapping[str, npt.NDArray[Any]]:
        return Features(columns_of(Trips._make(column.take(places) for column in self._trips)))

    def predicted(self, places: Places, numbers: Numbers) -> pa.RecordBatch:
        target = self._file.model.target.target.removeprefix("ride_")
        actual = self.actual(places)
        written = {
            "ride_id": self._ids(places),
            self._file.names["pickup_datetime"].lower(): pa.array(self._trips.pickup_datetime.take(places)),
            "PULocationID": pa.array(self._trips.PULocationID.take(places).astype(np.int32)),
            "DOLocationID": pa.array(self._trips.DOLocationID.take(places).astype(np.int32)),
            f"actual_{target}": _or_null(actual),
            f"predicted_{target}": pa.array(numbers),
            "diff": _or_null(actual - numbers),
            "model_version": pa.repeat(self._file.model.version, len(places)),
        }
        return pa.RecordBatch.from_pydict(
            {name: written[name] for name in self._file.columns} if self._file.columns else written
        )

    def rejected(self, places: Places, reasons: pa.Array) -> pa.RecordBatch:
        batch = only(self._batch, places)
        as_they_came = {name: batch[name] for name in self._file.names.values()}
        return pa.RecordBatch.from_pydict({"ride_id": self._ids(places), **as_they_came, "reason": reasons})

    def actual(self, places: Places) -> Numbers:
        if self._file.model.target.target != DURATION:
            return np.full(len(places), np.nan)
        return minutes_of(self._trips).take(places)

    def _ids(self, places: Places) -> pa.Array:
        numbers = pa.array(places + self._first).cast(pa.string())
        return pc.binary_join_element_wise(self._file.month, numbers, "_")


def _or_null(numbers: Numbers) -> pa.Array:
    return pa.array(numbers, mask=np.isnan(numbers))
