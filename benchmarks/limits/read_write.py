"""Upper limit for a batch job: reads a month and writes as many columns as the course, without computing.

python read_write.py TRIPS OUTPUT
"""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

COLUMNS = [
    "lpep_pickup_datetime",
    "lpep_dropoff_datetime",
    "PULocationID",
    "DOLocationID",
    "trip_distance",
]


def copy(trips: str, output: str) -> None:
    """Writes columns with the names, types and lengths of the course's."""
    table = pq.read_table(trips, columns=COLUMNS)
    rows = pa.array(np.arange(table.num_rows)).cast(pa.string())
    written = {
        "ride_id": pc.binary_join_element_wise("2021/03", rows, "_"),
        "lpep_pickup_datetime": table["lpep_pickup_datetime"],
        "PULocationID": table["PULocationID"],
        "DOLocationID": table["DOLocationID"],
        "actual_duration": table["trip_distance"],
        "predicted_duration": table["trip_distance"],
        "diff": table["trip_distance"],
        "model_version": pa.repeat("1", table.num_rows),
    }
    pq.write_table(pa.table(written), output)


if __name__ == "__main__":
    copy(*sys.argv[1:])
