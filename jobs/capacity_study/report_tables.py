"""A plan as tables, for a terminal and for a document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from jobs.capacity_study.cloud_run import Choice
from jobs.capacity_study.pricing import memory_gib
from jobs.capacity_study.quotas import Limit
from jobs.capacity_study.scenarios import Planned, Recommendation, Scale
from jobs.capacity_study.service_profile import Measured

Row = Mapping[str, str]
"""Cells by the name of their column."""


@dataclass(frozen=True)
class Report:
    """One table."""

    title: str
    rows: Sequence[Row]

    def rich(self) -> Table:
        """For a terminal."""
        table = Table(title=self.title, title_justify="left")
        for name in self.rows[0]:
            table.add_column(name, justify="left" if _is_read(name) else "right")
        for row in self.rows:
            table.add_row(*row.values())
        return table

    def markdown(self) -> str:
        """For a document."""
        names = list(self.rows[0])
        rules = ["---" if _is_read(name) else "--:" for name in names]
        lines = [names, rules, *(list(row.values()) for row in self.rows)]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _is_read(column: str) -> bool:
    """Whether its cells are words, not figures to compare."""
    return column.endswith(("limit", "it", "billing", "source", "traffic", "function")) or column.startswith(
        "cheapest"
    )


def figures_report(functions: Mapping[str, Measured]) -> Report:
    """What was measured, and the instance that it asks for."""
    rows = [
        {
            "of the function": f"`{name}`",
            "CPU ms a request": f"{each.service_ms:g}",
            "waiting ms": f"{each.wait_ms:g}",
            "start s": f"{each.start_s:g}",
            "memory MB": f"{each.memory_mb:g}",
            "instance GiB": f"{memory_gib(each):g}",
            "event bytes": f"{each.event_bytes:,.0f}" if each.event_bytes else "–",
        }
        for name, each in functions.items()
    ]
    return Report("What was measured of one process", rows)


def scales_report(function: str, scales: Sequence[Scale]) -> Report:
    """What each scale needs, costs and meets."""
    return Report(
        f"{function}: a day of New York's taxis, scaled; $ a month", [_scale_row(scale) for scale in scales]
    )


def _scale_row(scale: Scale) -> Row:
    planned = scale.planned
    return {
        "a second": f"{scale.rate:,.0f}",
        "at its peak": _rate(planned.profile.peak),
        "instances": f"{planned.outcome.peak_instances:,.0f}",
        "p50 ms": _milliseconds(planned.latency_ms(0.5)),
        "p99 ms": _milliseconds(planned.latency_ms(0.99)),
        "Cloud Run $": _dollars(planned.dollars),
        "billing": planned.billing,
        "messages $": _dollars(planned.message_dollars),
        "$ a million": f"{planned.dollars_per_million:,.3f}",
    }


def met_report(function: str, scales: Sequence[Scale]) -> Report:
    """The first limit that each scale meets, and the way past it."""
    return Report(f"{function}: what breaks first", [_met_row(scale) for scale in scales])


def _met_row(scale: Scale) -> Row:
    first = scale.met[0] if scale.met else None
    return {
        "a second": f"{scale.rate:,.0f}",
        "first limit": first.name if first else "–",
        "way past it": first.way if first else "–",
        "next limit": f"{scale.ahead.name}: {scale.ahead.rate:,.0f}/s" if scale.ahead else "–",
    }


def limits_report(limits: Sequence[Limit]) -> Report:
    """Where each limit is met."""
    rows = [
        {
            "limit": limit.name,
            "met at, a second": f"{limit.rate:,.0f}",
            "way past it": limit.way,
            "source": limit.source,
        }
        for limit in limits
    ]
    return Report("Limits, the first to be met first", rows)


def choices_report(function: str, planned: Mapping[Choice, Sequence[Planned]]) -> Report:
    """What each choice makes of each kind of traffic."""
    labels = "; ".join(each.profile.label for each in next(iter(planned.values())))
    rows = [_choice_row(choice, each) for choice, each in planned.items()]
    return Report(f"{function}: {labels}. Instances at the peak, refused, and $ a month of it", rows)


def _choice_row(choice: Choice, planned: Sequence[Planned]) -> Row:
    row = {"vCPU": f"{choice.vcpu:g}", "places": f"{choice.concurrency:,}", "min": f"{choice.min_instances}"}
    for each in planned:
        name = each.profile.name
        refused = each.outcome.refused / each.outcome.requests
        row[f"{name} inst."] = f"{each.outcome.peak_instances:,.0f}"
        row[f"{name} p99 ms"] = _milliseconds(each.latency_ms(0.99)) + (
            f" ({refused:.1%} 429)" if refused else ""
        )
        row[f"{name} $"] = _dollars(each.dollars)
    return row


def recommendations_report(function: str, recommendations: Sequence[Recommendation], quick: float) -> Report:
    """Which choice for which traffic."""
    rows = [
        {
            "traffic": each.profile.label,
            "cheapest": _choice(each.cheapest),
            f"cheapest with p99 ≤ {quick:g} ms": _choice(each.quick) if each.quick else "none of these",
        }
        for each in recommendations
    ]
    return Report(f"{function}: which choice for which traffic", rows)


def _choice(planned: Planned) -> str:
    choice = planned.choice
    settings = f"{choice.vcpu:g} vCPU, concurrency {choice.concurrency}, min {choice.min_instances}"
    figures = f"${_dollars(planned.dollars)}, p99 {_milliseconds(planned.latency_ms(0.99))} ms"
    return f"{settings}, {planned.billing}-based: {figures}"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def _milliseconds(milliseconds: float) -> str:
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.1f}"


def _dollars(dollars: float) -> str:
    return f"{dollars:,.0f}" if dollars >= 100 else f"{dollars:.2f}"
