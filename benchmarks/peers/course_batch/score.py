"""The course's batch script: a data frame, a list of dicts, the pipeline, a data frame.

    python score.py TRIPS OUTPUT

Ridecast's code turns the dicts into the model's features; the course's own model takes the dicts directly.
"""

import sys
from typing import Any

import pandas as pd

from benchmarks.peers.model import load_table
from functions.features import RideColumns

FIELDS = ["PULocationID", "DOLocationID", "trip_distance", "lpep_pickup_datetime"]


def to_ride_columns(rides: list[dict[Any, Any]]) -> RideColumns:
    """Converts rides to the columns from which features are computed."""
    frame = pd.DataFrame(rides)
    pickup = frame.lpep_pickup_datetime.dt
    return RideColumns(
        frame.PULocationID.to_numpy("int64"),
        frame.DOLocationID.to_numpy("int64"),
        frame.trip_distance.to_numpy("float64"),
        (pickup.hour * 60 + pickup.minute).to_numpy("float64"),
        pickup.day_of_week.to_numpy("float64"),
    )


def score(trips: str, output: str) -> None:
    """Scores a month of green trips and writes the course's columns."""
    predict = load_table()
    frame = pd.read_parquet(trips)
    frame["duration"] = (frame.lpep_dropoff_datetime - frame.lpep_pickup_datetime).dt.total_seconds() / 60
    frame = frame[(frame.duration >= 1) & (frame.duration <= 60)].copy()
    frame["trip_distance"] = frame.trip_distance.where(frame.trip_distance.between(0, 100), 0.0)
    frame["ride_id"] = "2021/03_" + frame.index.astype(str)

    predicted = predict(to_ride_columns(frame[FIELDS].to_dict(orient="records")))

    result = frame[["ride_id", "lpep_pickup_datetime", "PULocationID", "DOLocationID"]].copy()
    result["actual_duration"] = frame.duration
    result["predicted_duration"] = predicted
    result["diff"] = result.actual_duration - result.predicted_duration
    result["model_version"] = "1"
    result.to_parquet(output, index=False)


if __name__ == "__main__":
    score(*sys.argv[1:])
