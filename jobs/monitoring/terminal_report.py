"""Prints a report on one screen of a terminal: 80 columns, 24 lines."""

from collections.abc import Iterator
from functools import partial
from math import isnan

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.monitoring.drift import MIN_RIDES
from jobs.monitoring.findings import Findings
from jobs.ui.text import count

MAX_SENTENCES = 3
"""Failed checks that get a line of their own; the table marks all of them."""
WIDTH = 80


def print_report(findings: Findings, console: Console) -> None:
    """Prints the failed checks first, then everything."""
    print_line = partial(console.print, overflow="ellipsis", no_wrap=True)
    print_line(Text(f"{findings.subject} compared with {findings.reference}", "bold"))
    for sentence in _verdict(findings):
        print_line(sentence)
    if findings.warning:
        console.print(Text(findings.warning, "yellow"))
    console.print(_drift_table(findings))
    for line in _lines(findings):
        print_line(Text(line))


def _verdict(findings: Findings) -> Iterator[Text]:
    failed = findings.failed_checks
    if findings.ok:
        mark, style = ("–", "yellow") if findings.warning else ("✓", "green")
        yield Text(f"{mark} {findings.verdict}", style)
    for check in failed[:MAX_SENTENCES]:
        yield Text(f"✗ {check}", "red")
    if more := failed[MAX_SENTENCES:]:
        yield Text(f"✗ and {', '.join(check.name for check in more)}", "red")


def _drift_table(findings: Findings) -> Table:
    checks = {check.name: check for check in findings.checks}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), width=WIDTH)
    table.add_column("drift of", no_wrap=True, min_width=max(len(drift.name) for drift in findings.drifts))
    for name, min_width in (("PSI", 5), ("limit", 5), ("moved by", 12)):
        table.add_column(name, justify="right", no_wrap=True, min_width=min_width)
    table.add_column("largest change", no_wrap=True, overflow="ellipsis")
    for drift in findings.drifts:
        moved = "" if isnan(drift.wasserstein) else f"{drift.wasserstein:.2f} {drift.unit}"
        if not drift.has_enough_rides:
            rides = min(drift.current_rides, drift.reference_rides)
            table.add_row(drift.name, "–", "", "", f"{count(rides, 'ride')}, {MIN_RIDES} needed", style="dim")
            continue
        check = checks[f"drift/psi/{drift.name}"]
        cells = (drift.name, f"{drift.psi:.3f}", f"{check.limit:.3f}", moved, Text(drift.largest_change))
        table.add_row(*cells, style="red" if check.failed else "")
    return table


def _lines(findings: Findings) -> Iterator[str]:
    accuracy, coverage = findings.accuracy, findings.coverage
    if accuracy:
        errors = accuracy.overall
        limit = next((check.limit for check in findings.checks if check.name == "rmse"), None)
        yield (
            f"error      RMSE {errors.rmse:.2f} min{f' (limit {limit:.2f})' if limit else ''}, MAE "
            f"{errors.mae:.2f}, 90% within {errors.p90:.2f}, bias {errors.bias:+.2f}"
        )
        yield f"  borough  worst {_worst(accuracy.by_borough)}"
        yield f"  hour     worst {_worst(accuracy.by_hour)}"
        for pair, rmse in accuracy.by_pair.rmse.head(1).items():
            yield f"  pair     worst {pair} {rmse:.2f}"
        yield "  version  " + ", ".join(
            f"{version or '?'}: {row.rmse:.2f} ({count(int(row.rides), 'ride')})"
            for version, row in accuracy.by_version.iterrows()
        )
    else:
        yield "error      unknown: no ride has both a prediction and an actual duration"
    yield (
        f"coverage   unseen zones {coverage.unseen_zones:.2%}, unseen pairs {coverage.unseen_pairs:.1%}; "
        f"{count(coverage.zones_without_rides, 'zone')} without rides"
    )
    share = coverage.reference_rejected_share
    yield (
        f"rides      {findings.rides:,}, reference {findings.reference_rides:,}; "
        f"{coverage.rejected_share:.1%} rejected{f' (was {share:.1%})' if share >= 0 else ''}"
    )
    if findings.aligned_rides != (findings.rides, findings.reference_rides):
        rides, reference_rides = findings.aligned_rides
        yield f"           drift compares {rides:,} with {reference_rides:,} in the same hours of the week"
    if coverage.unmatched:
        yield "           " + "; ".join(f"{count:,} {what}" for what, count in coverage.unmatched.items())


def _worst(errors: pd.DataFrame) -> str:
    """The three groups with the highest RMSE, leaving out those with few rides."""
    large = errors[errors.rides >= min(MIN_RIDES, errors.rides.max())]
    worst = large.sort_values("rmse", ascending=False)[:3]
    return ", ".join(f"{group} {rmse:.2f}" for group, rmse in worst.rmse.items())
