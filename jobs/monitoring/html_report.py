"""Renders a report as a self-contained HTML page: no script, no network requests, light and dark."""

from pathlib import Path

import jinja2

from jobs.monitoring import charts
from jobs.monitoring.drift import MIN_RIDES
from jobs.monitoring.findings import Findings
from jobs.ui.text import count


def render_page(findings: Findings, created: str) -> str:
    """Renders the page; `created` is the time shown on it."""
    failed = {check.name for check in findings.failed_checks}
    # Failed checks come first.
    drifts = sorted(findings.drifts, key=lambda drift: f"drift/psi/{drift.name}" not in failed)
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(template).render(
        findings=findings,
        checks={check.name: check for check in findings.checks},
        count=count,
        created=created,
        drifts=drifts,
        min_rides=MIN_RIDES,
        psi=charts.psi_chart(findings.checks),
        shares={drift.name: charts.shares_chart(drift) for drift in drifts if drift.has_enough_rides},
        by_hour=charts.hourly_error_chart(findings.accuracy.by_hour) if findings.accuracy else "",
    )
