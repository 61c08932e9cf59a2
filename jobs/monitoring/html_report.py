"""A report as one page of HTML that needs nothing else: no script, no network, by day and by night."""

from pathlib import Path

import jinja2

from jobs.monitoring import charts
from jobs.monitoring.drift import FEWEST_RIDES
from jobs.monitoring.findings import Findings

_TEMPLATE = Path(__file__).with_name("page.html")


def page_of(findings: Findings, made: str) -> str:
    """The page.

    Args:
        made: when, for people.
    """
    limits = {measure.name: measure for measure in findings.measures}
    # What is beyond its limit is seen first.
    beyond = {measure.name for measure in findings.exceeded}
    drifts = sorted(findings.drifts, key=lambda drift: f"drift/psi/{drift.name}" not in beyond)
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        findings=findings,
        limits=limits,
        made=made,
        drifts=drifts,
        fewest=FEWEST_RIDES,
        psi=charts.psi(findings.measures),
        shares={drift.name: charts.shares(drift) for drift in drifts if drift.enough},
        by_hour=charts.errors_by_hour(findings.accuracy.by_hour) if findings.accuracy else "",
    )
