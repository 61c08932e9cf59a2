"""What a report says on one screen of a terminal, 80 columns and 24 lines."""

from collections.abc import Iterator

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.monitoring.drift import FEWEST_RIDES
from jobs.monitoring.findings import Findings

MOST_EXCEEDED = 3
"""That are told in a sentence each; the table marks them all."""
WIDTH = 80


def print_summary(findings: Findings, console: Console) -> None:
    """First what is beyond its limit, then everything."""
    console.print(
        Text(f"{findings.subject} beside {findings.reference}", "bold"), overflow="ellipsis", no_wrap=True
    )
    for sentence in _verdict(findings):
        console.print(sentence, overflow="ellipsis", no_wrap=True)
    console.print(_drift_table(findings))
    for line in _lines(findings):
        console.print(Text(line), overflow="ellipsis", no_wrap=True)


def _verdict(findings: Findings) -> Iterator[Text]:
    exceeded = findings.exceeded
    if not exceeded:
        yield Text(f"✓ all {len(findings.measures)} measures are within their limits", "green")
    for measure in exceeded[:MOST_EXCEEDED]:
        yield Text(f"✗ {measure}", "red")
    if more := exceeded[MOST_EXCEEDED:]:
        yield Text(f"✗ and {', '.join(measure.name for measure in more)}", "red")


def _drift_table(findings: Findings) -> Table:
    limits = {measure.name: measure for measure in findings.measures}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), width=WIDTH)
    table.add_column("drift of", no_wrap=True, min_width=max(len(drift.name) for drift in findings.drifts))
    for name, least in (("PSI", 5), ("limit", 5), ("moved by", 12)):
        table.add_column(name, justify="right", no_wrap=True, min_width=least)
    table.add_column("most of it", no_wrap=True, overflow="ellipsis")
    for drift in findings.drifts:
        moved = f"{drift.moved:.2f} {drift.unit}" if drift.moved == drift.moved else ""
        if not drift.enough:
            rides = min(drift.rides, drift.reference)
            table.add_row(
                drift.name, "–", "", "", f"{rides} of {FEWEST_RIDES} rides that are needed", style="dim"
            )
            continue
        measure = limits[f"drift/psi/{drift.name}"]
        style = "red" if measure.exceeded else ""
        table.add_row(
            drift.name, f"{drift.psi:.3f}", f"{measure.limit:.3f}", moved, Text(drift.most), style=style
        )
    return table


def _lines(findings: Findings) -> Iterator[str]:
    accuracy, coverage = findings.accuracy, findings.coverage
    if accuracy:
        errors = accuracy.overall
        limit = next((each.limit for each in findings.measures if each.name == "rmse"), None)
        yield (
            f"error      RMSE {errors.rmse:.2f} min{f' (limit {limit:.2f})' if limit else ''}, MAE "
            f"{errors.mae:.2f}, 90% within {errors.p90:.2f}, bias {errors.bias:+.2f}"
        )
        yield f"  borough  worst {_worst(accuracy.by_borough)}"
        yield f"  hour     worst {_worst(accuracy.by_hour)}"
        for pair, rmse in accuracy.by_pair.rmse.head(1).items():
            yield f"  pair     worst {pair} {rmse:.2f}"
        yield "  version  " + ", ".join(
            f"{version or '?'}: {row.rmse:.2f} ({row.rides:,.0f} rides)"
            for version, row in accuracy.by_version.iterrows()
        )
    else:
        yield "error      not known: no ride was both predicted and has ended"
    yield (
        f"coverage   never seen: zones of {coverage.unseen_zones:.2%}, pairs of {coverage.unseen_pairs:.1%}; "
        f"{coverage.without_rides} zones without rides"
    )
    before = f" (was {coverage.rejected_share_before:.1%})" if coverage.rejected_share_before >= 0 else ""
    yield (
        f"rides      {findings.rides:,} beside {findings.reference_rides:,}; "
        f"{coverage.rejected_share:.1%} rejected{before}"
    )
    if findings.compared != (findings.rides, findings.reference_rides):
        ours, theirs = findings.compared
        yield f"           drift is that of {ours:,} beside {theirs:,}, in the same hours of the week"
    if coverage.waiting:
        yield "           " + "; ".join(f"{count:,} {what}" for what, count in coverage.waiting.items())


def _worst(errors: pd.DataFrame) -> str:
    """The worst groups; of those with next to no rides one would learn nothing."""
    many = errors[errors.rides >= min(FEWEST_RIDES, errors.rides.max())]
    worst = many.sort_values("rmse", ascending=False)[:3]
    return ", ".join(f"{group} {rmse:.2f}" for group, rmse in worst.rmse.items())
