"""Taxi trips as rows to score: the functions' feature code, and predictions in the course's columns."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from functions.features import FeatureTable
from functions.model import FloatArray, Model
from functions.rides import MAX_TRIP_MILES
from jobs.scoring.layout import month_partition
from jobs.scoring.protocols import Mask, RowIndices, take_rows
from jobs.trips.records import (
    TripReader,
    Trips,
    repaired_distances,
    rule_violations,
    to_ride_columns,
    trip_minutes,
)
from jobs.trips.trip_columns import PICKUP

DURATION = "ride_duration"
"""The target whose actual values are known from the trips themselves."""


class TripSource:
    """A table of trips; a trip's id is the table's month and its index in the table.

    `columns` are the output columns to write; all if empty.
    """

    def __init__(
        self, file: TripReader, model: Model, taxi: str, month: date, columns: tuple[str, ...] = ()
    ) -> None:
        self.table = file.table
        self.partition: tuple[str, ...] = month_partition(taxi, month)
        self.source_columns = list(file.names.values())
        self.trips = file.trips
        self.names = file.names
        self.model = model
        self.month = f"{month:%Y/%m}"
        self.columns = columns

    def validate(self, batch: pa.RecordBatch, first_row: int) -> "TripBatch":
        return TripBatch(self, batch, first_row)


class TripBatch:
    """A batch of its trips."""

    def __init__(self, source: TripSource, batch: pa.RecordBatch, first_row: int) -> None:
        self._source = source
        self._batch = batch
        self._first_row = first_row
        self._trips = source.trips(batch)
        miles = repaired_distances(self._trips)
        self.faults = rule_violations(self._trips)
        self.repaired: dict[str, Mask] = {
            f"distance missing, below 0 or over {MAX_TRIP_MILES:g} miles": miles != self._trips.trip_distance
        }
        self._trips = self._trips._replace(trip_distance=miles)

    def model_input(self, indices: RowIndices) -> Mapping[str, npt.NDArray[Any]]:
        return FeatureTable(to_ride_columns(Trips._make(column.take(indices) for column in self._trips)))

    def predicted(self, indices: RowIndices, predictions: FloatArray) -> pa.RecordBatch:
        target = self._source.model.target.target.removeprefix("ride_")
        actual = self.actual(indices)
        pickup_name = output_pickup_name(self._source.names[PICKUP])
        columns = {
            "ride_id": self._ids(indices),
            pickup_name: pa.array(self._trips.pickup_datetime.take(indices)),
            "PULocationID": pa.array(self._trips.PULocationID.take(indices).astype(np.int32)),
            "DOLocationID": pa.array(self._trips.DOLocationID.take(indices).astype(np.int32)),
            f"actual_{target}": _nan_to_null(actual),
            f"predicted_{target}": pa.array(predictions),
            "diff": _nan_to_null(actual - predictions),
            "model_version": pa.repeat(self._source.model.version, len(indices)),
        }
        return pa.RecordBatch.from_pydict(
            {name: columns[name] for name in self._source.columns} if self._source.columns else columns
        )

    def rejected(self, indices: RowIndices, reasons: pa.Array) -> pa.RecordBatch:
        batch = take_rows(self._batch, indices)
        as_read = {name: batch[name] for name in self._source.names.values()}
        return pa.RecordBatch.from_pydict({"ride_id": self._ids(indices), **as_read, "reason": reasons})

    def actual(self, indices: RowIndices) -> FloatArray:
        if self._source.model.target.target != DURATION:
            return np.full(len(indices), np.nan)
        return trip_minutes(self._trips).take(indices)

    def _ids(self, indices: RowIndices) -> pa.Array:
        numbers = pa.array(indices + self._first_row).cast(pa.string())
        return pc.binary_join_element_wise(self._source.month, numbers, "_")


def output_pickup_name(name: str) -> str:
    """The output's name for the pick-up time: the input's for green and yellow, else `pickup_datetime`."""
    lower = name.lower()
    return lower if lower in (f"lpep_{PICKUP}", f"tpep_{PICKUP}") else PICKUP


def _nan_to_null(values: FloatArray) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))
