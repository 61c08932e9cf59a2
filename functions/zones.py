"""New York's taxi zones: names, boroughs and centres."""

import csv
from pathlib import Path
from typing import NamedTuple


class Zone(NamedTuple):
    """One taxi zone."""

    name: str
    borough: str
    longitude: float | None
    """Degrees, of the zone's centre; None for the two unknown zones."""
    latitude: float | None


def read_zones() -> dict[int, Zone]:
    """The zones by TLC's id, from zones.csv."""
    with Path(__file__).with_name("zones.csv").open(encoding="utf-8", newline="") as file:
        return {
            int(row["LocationID"]): Zone(
                row["Zone"],
                row["Borough"],
                float(row["longitude"]) if row["longitude"] else None,
                float(row["latitude"]) if row["latitude"] else None,
            )
            for row in csv.DictReader(file)
        }


ZONES = read_zones()
