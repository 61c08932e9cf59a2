"""Evaluates Cloud Logging's filters, as far as infra/monitoring.tf uses them, on log lines."""

import re
from pathlib import Path
from typing import Any

MONITORING = Path(__file__).parents[2] / "infra" / "monitoring.tf"
_METRIC = re.compile(r'^    "(ridecast/[\w-]+)" = \{\n(.*?)^    \}', re.MULTILINE | re.DOTALL)
_FILTER = re.compile(r'^\s*filter\s*= "(.*)"$', re.MULTILINE)
_LABEL = re.compile(r"EXTRACT\(jsonPayload\.(\w+)\)")
_TERM = re.compile(r'jsonPayload\.(\w+)(=|:)"([^"]*)"')


def metric_filters() -> dict[str, str]:
    """The filter of each log-based metric by its name."""
    blocks = dict(_METRIC.findall(MONITORING.read_text()))
    return {name: _FILTER.findall(block)[0].replace('\\"', '"') for name, block in blocks.items()}


def metric_labels() -> dict[str, list[str]]:
    """The fields from which each metric takes its labels."""
    blocks = dict(_METRIC.findall(MONITORING.read_text()))
    return {name: _LABEL.findall(block) for name, block in blocks.items()}


def matches(line: dict[str, Any], logging_filter: str) -> bool:
    """Whether a line is counted; raises ValueError for a term that this cannot evaluate.

    `:` finds a part of a text regardless of case, `=` compares whole texts.
    """
    for term in logging_filter.split(" AND "):
        parsed = _TERM.fullmatch(term.strip())
        if not parsed:
            raise ValueError(f"cannot evaluate {term!r}")
        name, operator, wanted = parsed.groups()
        text = str(line.get(name, ""))
        if not (wanted.lower() in text.lower() if operator == ":" else text == wanted):
            return False
    return True
