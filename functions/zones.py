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

_MAX_NAME_LENGTH = 60
"""A longer text is no zone's name, with its borough included."""
_MAX_SIMILAR = 3


def find_zones(text: str) -> dict[str, list[int]]:
    """The zones that a text names, regardless of case and with or without the borough: names → ids.

    If it names none, at most three zones whose names contain the text; empty if there are more or none.
    """
    wanted = text.strip().casefold()
    if not 3 <= len(wanted) <= _MAX_NAME_LENGTH:
        return {}
    exact: dict[str, list[int]] = {}
    similar: dict[str, list[int]] = {}
    for zone_id, zone in ZONES.items():
        name, borough = zone.name.casefold(), zone.borough.casefold()
        if wanted in (name, f"{borough}/{name}", f"{borough}, {name}", f"{name}, {borough}"):
            exact.setdefault(zone.name, []).append(zone_id)
        elif wanted in name:
            similar.setdefault(zone.name, []).append(zone_id)
    return exact or (similar if len(similar) <= _MAX_SIMILAR else {})
