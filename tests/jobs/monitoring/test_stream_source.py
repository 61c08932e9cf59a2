"""The stream's rides in Parquet files that other programs have written."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.monitoring.stream_source import read_stream
from jobs.storage.errors import FileAccessError


def write(path: Path, **columns: Any) -> str:
    """Three rides of 21 minutes with some columns as given."""
    defaults = {
        "ride_id": ["a", "b", "c"],
        "model_version": ["1"] * 3,
        "PULocationID": [130] * 3,
        "DOLocationID": [205] * 3,
        "trip_distance": [3.66] * 3,
        "predicted_duration": [20.0] * 3,
        "pickup_datetime": ["2021-03-01T00:00:00"] * 3,
        "dropoff_datetime": ["2021-03-01T00:21:00"] * 3,
        "published": ["2021-03-01T12:00:00"] * 3,
    }
    pq.write_table(pa.table(defaults | columns), path)
    return str(path)


def test_values_that_cannot_be_read_are_rejected_with_their_reason(tmp_path: Path) -> None:
    path = write(
        tmp_path / "part.parquet",
        pickup_datetime=["2021-03-01T00:00:00", "midnight", "03/01/2021 12:00:00 AM"],
        trip_distance=["3.66", "1", "far"],
    )
    rides, _ = read_stream(path, 24)
    assert rides.actual.tolist() == [21]
    assert rides.rejected == {"pick-up time cannot be read": 1, "distance is not a number": 1}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"pickup_datetime": [1614556800] * 3}, "has int64 in pickup_datetime, where times are expected"),
        ({"PULocationID": [[1]] * 3}, "in PULocationID, where numbers are expected: export the view"),
        (
            {"published": ["2021-03-01T12:00:00", "noon", None]},
            "'noon' in the column published is not a time",
        ),
    ],
)
def test_columns_of_another_kind_are_an_error(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(FileAccessError, match=message):
        read_stream(write(tmp_path / "part.parquet", **columns), 24)
