"""Which columns of a file hold the fields of a trip, and what is wrong with a file that has none for one.

Every error says what to do, with a command that converts the file where one can.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from functions.rides import FIELD_NAMES, LAST_ZONE
from jobs.storage.columns import (
    is_number,
    is_text,
    is_time,
    not_numbers,
    to_datetime64,
    to_float64,
    value_type,
)
from jobs.storage.errors import FileAccessError
from jobs.storage.tables import Table
from jobs.trips.conversion import conversion_command, epoch_unit

DISTANCE, PICKUP, DROPOFF = "trip_distance", "pickup_datetime", "dropoff_datetime"
FIELDS = FIELD_NAMES | {
    DROPOFF: (DROPOFF, "lpep_dropoff_datetime", "tpep_dropoff_datetime", "trip_dropoff_datetime")
}
"""Field of `Trips` → the names of its column in TLC's files of all years and taxis, in lower case."""
TIMES = (PICKUP, DROPOFF)
TAXIS = ("green", "yellow", "fhvhv", "fhv")
"""TLC's names: green and yellow taxis, high-volume for-hire vehicles, and other for-hire vehicles."""
_TAXI_BY_PREFIX = {"lpep": "green", "tpep": "yellow", "trip": "yellow"}
_HIGH_VOLUME = {"hvfhs_license_num", "trip_miles"}
_FOR_HIRE = {"dispatching_base_num", "affiliated_base_number", "sr_flag"}
_FOR_HIRE_DROPOFF = "dropOff_datetime"
"""Columns that only the files of for-hire vehicles have, the last in this spelling."""
_COORDINATES = {"pickup_longitude", "start_lon"}
_SCAN_ROWS = 1 << 14
_MAX_SHOWN = 40
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{4}")


def find_columns(names: Iterable[str]) -> dict[str, list[str]]:
    """Field of a trip → the columns of a file that have one of its names, in any case; without the others."""
    fields = {alias: field for field, aliases in FIELDS.items() for alias in aliases}
    found: dict[str, list[str]] = {}
    for name in names:
        if field := fields.get(name.lower()):
            found.setdefault(field, []).append(name)
    return found


def find_taxi(names: Sequence[str]) -> str:
    """Which of `TAXIS` has these columns; empty if they do not tell."""
    lower = {name.lower() for name in names}
    pickup = find_columns(names).get(PICKUP, [""])[0].lower()
    if taxi := _TAXI_BY_PREFIX.get(pickup.partition("_")[0]):
        return taxi
    if lower & _HIGH_VOLUME:
        return "fhvhv"
    return "fhv" if lower & _FOR_HIRE or _FOR_HIRE_DROPOFF in names else ""


def trip_columns(table: Table) -> dict[str, str]:
    """Field of a trip → its column in a table of trips.

    There may be none for the drop-off time; and for the distance, which TLC does not record for ordinary
    for-hire vehicles.

    Raises:
        FileAccessError: a column is missing, there are two for one field, or its type cannot hold the values.
    """
    found = find_columns(table.names)
    optional = {DROPOFF, DISTANCE} if find_taxi(table.names) == "fhv" else {DROPOFF}
    if missing := [field for field in FIELDS if field not in found and field not in optional]:
        raise FileAccessError(_missing(table, missing))
    for names in found.values():
        if len(names) > 1:
            raise FileAccessError(_ambiguous(table, names))
    columns = {field: found[field][0] for field in FIELDS if field in found}
    table.require(columns.values())
    _require_types(table, columns)
    return columns


def require_readable(table: Table, columns: Mapping[str, str]) -> None:
    """Raises FileAccessError if a column of text has values of which not a single one can be read."""
    for field, name in columns.items():
        if not is_text(table.schema.field(name).type):
            continue
        example = ""
        for batch in table.batches([name], _SCAN_ROWS):
            column = batch[name]
            values, unreadable = (
                to_datetime64(column) if field in TIMES else (to_float64(column), not_numbers(column))
            )
            if not (np.isnat(values) if field in TIMES else np.isnan(values)).all():
                break
            if not example and unreadable.any():
                example = column[int(unreadable.argmax())].as_py()
        else:
            if example:
                raise FileAccessError(_unreadable(table, columns, field, example))


def _missing(table: Table, fields: Sequence[str]) -> str:
    lower = {name.lower() for name in table.names}
    if lower & _COORDINATES and "PULocationID" in fields:
        return (
            f"{table.uri} has no PULocationID and no DOLocationID: months before 2011 have coordinates "
            "instead of zones; give a month of 2011 or later, or add columns with the zones' numbers"
        )
    similar = {_letters(name): name for name in table.names}
    renamed = {
        similar[_letters(alias)]: field
        for field in fields
        for alias in FIELDS[field]
        if _letters(alias) in similar
    }
    message = f"{table.uri} has no column {' and no '.join(fields)}: "
    if not renamed:
        return f"{message}give TLC's trip records, or rename the columns that hold these"
    command = conversion_command(table.uri, f"t = t.rename(columns={json.dumps(renamed)})")
    return f"{message}rename {' and '.join(renamed)}, for example with `{command}`"


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _ambiguous(table: Table, names: Sequence[str]) -> str:
    first, *others = map(json.dumps, names)
    merged = f"t.pop({first})" + "".join(f".fillna(t.pop({other}))" for other in others)
    command = conversion_command(table.uri, f"t[{first}] = {merged}")
    return (
        f"{table.uri} has {' and '.join(names)}, which are names of the same field: drop one, or merge them, "
        f"for example with `{command}`"
    )


def _require_types(table: Table, columns: Mapping[str, str]) -> None:
    for part in table.parts:
        types = {
            field: value_type(part.schema.field(part.columns[name]).type) for field, name in columns.items()
        }
        for field, dtype in types.items():
            suitable = (
                is_time(dtype) if field in TIMES else is_number(dtype) and not pa.types.is_boolean(dtype)
            )
            if suitable or is_text(dtype):
                continue
            alike = [
                part.columns[columns[other]]
                for other in types
                if types[other] == dtype and (_is_binary(dtype) or (other in TIMES) == (field in TIMES))
            ]
            alone = Table(
                part.uri, part.schema, (replace(part, columns={each: each for each in part.schema.names}),)
            )
            raise FileAccessError(_unsuitable(alone, field, part.columns[columns[field]], dtype, alike))


def _unsuitable(table: Table, field: str, name: str, dtype: pa.DataType, alike: Sequence[str]) -> str:
    """The message for a column of a type that cannot hold its values.

    Args:
        alike: all columns of a trip that need the same conversion.
    """
    example = _first_value(table, name)
    has = f"{table.uri} has {dtype} in {name}" + ("" if example is None else f", such as {_show(example)}")
    columns = f"c = {json.dumps(list(alike))}; t[c] = t[c]"
    if _is_binary(dtype):
        command = conversion_command(table.uri, f'{columns}.apply(lambda s: s.str.decode("utf-8"))')
        return f"{has}, where text is expected: convert it with `{command}`"
    if field in TIMES and pa.types.is_date(dtype):
        return f"{has}: the time of day is missing; give a file with times"
    if field in TIMES and is_number(dtype) and (unit := epoch_unit(example)):
        return f"{has}: {_epoch_advice(table, columns, unit)}"
    expected = "times are" if field in TIMES else "numbers are"
    return f"{has}, where {expected} expected: convert the column"


def _unreadable(table: Table, columns: Mapping[str, str], field: str, example: str) -> str:
    """The message for a column of text without a single readable value."""
    name = columns[field]
    has = f"{table.uri} has text in {name} of which nothing can be read, such as {_show(example)}"
    column = json.dumps(name)
    if field not in TIMES:
        if field != DISTANCE:
            return f"{has}: write the numbers of the taxi zones, 1 to {LAST_ZONE}, there"
        if "," in example:
            change = f't[{column}] = t[{column}].str.replace(",", ".").astype(float)'
            return f"{has}: write a decimal point, for example with `{conversion_command(table.uri, change)}`"
        change = f't[{column}] = pd.to_numeric(t[{column}], errors="coerce")'
        return f"{has}: to take it as not recorded, use `{conversion_command(table.uri, change)}`"
    if _DATE.fullmatch(example.strip()):
        return f"{has}: the time of day is missing; give a file with times"
    times = [
        columns[each] for each in TIMES if each in columns and is_text(table.schema.field(columns[each]).type)
    ]
    change = f"c = {json.dumps(times)}; t[c] = t[c]"
    if unit := epoch_unit(example):
        return f"{has}: {_epoch_advice(table, f'{change}.apply(pd.to_numeric)', unit)}"
    command = conversion_command(table.uri, f'{change}.apply(pd.to_datetime, format="mixed", dayfirst=True)')
    return (
        f'{has}: write times like "2021-03-01 08:30:00" or "03/01/2021 08:30:00 AM"; if the day comes first, '
        f"convert them with `{command}`, else with dayfirst=False"
    )


def _epoch_advice(table: Table, columns: str, unit: str) -> str:
    command = conversion_command(table.uri, f'{columns}.apply(pd.to_datetime, unit="{unit}")')
    return (
        "a number does not say whether it counts from New York time or from UTC; if it is New York's clock, "
        f"as pandas and ClickHouse write it, convert it with `{command}`; if it is UTC, add utc=True after "
        "the unit"
    )


def _is_binary(dtype: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(test(dtype) for test in tests)


def _first_value(table: Table, name: str) -> object:
    for batch in table.batches([name], _SCAN_ROWS):
        column = batch[name].drop_null()
        if len(column):
            return column[0].as_py()
    return None


def _show(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
