"""The study's results as tables, for the terminal and for Markdown documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from jobs.capacity_study.cloud_run import ServiceConfig
from jobs.capacity_study.pricing import memory_gib
from jobs.capacity_study.quotas import Bottleneck
from jobs.capacity_study.scenarios import Recommendation, Scale, Scenario
from jobs.capacity_study.service_profile import ServiceProfile
from jobs.ui.markdown import markdown_table

Row = Mapping[str, str]
"""Cells by column name."""

TEXT_COLUMNS = ("limit", "remedy", "billing", "source", "traffic", "function")
"""Endings of the names of columns that contain text and are aligned left."""


@dataclass(frozen=True)
class ReportTable:
    """A table with a title."""

    title: str
    rows: Sequence[Row]

    def rich(self) -> Table:
        """Returns the table for the terminal."""
        table = Table(title=self.title, title_justify="left")
        for name in self.rows[0]:
            table.add_column(name, justify="left" if _is_text(name) else "right")
        for row in self.rows:
            table.add_row(*row.values())
        return table

    def markdown(self) -> str:
        """Returns the table in Markdown, without the title."""
        names = list(self.rows[0])
        numeric = [name for name in names if not _is_text(name)]
        return markdown_table(names, [list(row.values()) for row in self.rows], numeric)


def _is_text(column: str) -> bool:
    return column.endswith(TEXT_COLUMNS) or column.startswith("cheapest")


def measurements_table(functions: Mapping[str, ServiceProfile]) -> ReportTable:
    """The measurements, and the memory that an instance needs accordingly."""
    rows = [
        {
            "function": f"`{name}`",
            "CPU ms a request": f"{profile.service_ms:g}",
            "waiting ms": f"{profile.wait_ms:g}",
            "start s": f"{profile.start_s:g}",
            "memory MB": f"{profile.memory_mb:g}",
            "instance GiB": f"{memory_gib(profile):g}",
            "event bytes": f"{profile.event_bytes:,.0f}" if profile.event_bytes else "–",
        }
        for name, profile in functions.items()
    ]
    return ReportTable("Measurements of one process", rows)


def scales_table(function: str, scales: Sequence[Scale]) -> ReportTable:
    """Instances, latency and cost at each scale."""
    title = f"{function}: a day of New York's taxis, scaled; $ a month"
    return ReportTable(title, [_scale_row(scale) for scale in scales])


def _scale_row(scale: Scale) -> Row:
    scenario = scale.scenario
    return {
        "a second": f"{scale.rate:,.0f}",
        "peak": _rate(scenario.traffic.peak),
        "instances": f"{scenario.result.peak_instances:,.0f}",
        "p50 ms": _milliseconds(scenario.latency_ms(0.5)),
        "p99 ms": _milliseconds(scenario.latency_ms(0.99)),
        "Cloud Run $": _dollars(scenario.dollars),
        "billing": scenario.billing,
        "messages $": _dollars(scenario.message_dollars),
        "$ a million": f"{scenario.dollars_per_million:,.3f}",
    }


def reached_limits_table(function: str, scales: Sequence[Scale]) -> ReportTable:
    """The first limit that each scale reaches, and its remedy."""
    rows = [
        {
            "a second": f"{scale.rate:,.0f}",
            "first limit": scale.reached[0].name if scale.reached else "–",
            "remedy": scale.reached[0].remedy if scale.reached else "–",
            "next limit": f"{scale.next.name}: {scale.next.rate:,.0f}/s" if scale.next else "–",
        }
        for scale in scales
    ]
    return ReportTable(f"{function}: what breaks first", rows)


def limits_table(limits: Sequence[Bottleneck]) -> ReportTable:
    """The rate at which each limit is reached."""
    rows = [
        {
            "limit": limit.name,
            "reached at, a second": f"{limit.rate:,.0f}",
            "remedy": limit.remedy,
            "source": limit.source,
        }
        for limit in limits
    ]
    return ReportTable("Limits, lowest rate first", rows)


def configs_table(function: str, scenarios: Mapping[ServiceConfig, Sequence[Scenario]]) -> ReportTable:
    """Instances, latency and cost of each configuration with each kind of traffic."""
    labels = "; ".join(scenario.traffic.label for scenario in next(iter(scenarios.values())))
    rows = [_config_row(config, each) for config, each in scenarios.items()]
    return ReportTable(f"{function}: {labels}. Peak instances, rejected requests, and $ a month of it", rows)


def _config_row(config: ServiceConfig, scenarios: Sequence[Scenario]) -> Row:
    row = {
        "vCPU": f"{config.vcpu:g}",
        "concurrency": f"{config.concurrency:,}",
        "min": f"{config.min_instances}",
    }
    for scenario in scenarios:
        name = scenario.traffic.name
        rejected = scenario.result.rejected / scenario.result.requests
        row[f"{name} inst."] = f"{scenario.result.peak_instances:,.0f}"
        row[f"{name} p99 ms"] = _milliseconds(scenario.latency_ms(0.99)) + (
            f" ({rejected:.1%} 429)" if rejected else ""
        )
        row[f"{name} $"] = _dollars(scenario.dollars)
    return row


def recommendations_table(
    function: str, recommendations: Sequence[Recommendation], fast_ms: float
) -> ReportTable:
    """The best configuration for each kind of traffic."""
    rows = [
        {
            "traffic": each.traffic.label,
            "cheapest": _describe(each.cheapest),
            f"cheapest with p99 ≤ {fast_ms:g} ms": _describe(each.fast) if each.fast else "none of these",
        }
        for each in recommendations
    ]
    return ReportTable(f"{function}: recommended settings by traffic", rows)


def _describe(scenario: Scenario) -> str:
    config = scenario.config
    settings = f"{config.vcpu:g} vCPU, concurrency {config.concurrency}, min {config.min_instances}"
    figures = f"${_dollars(scenario.dollars)}, p99 {_milliseconds(scenario.latency_ms(0.99))} ms"
    return f"{settings}, {scenario.billing}-based: {figures}"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def _milliseconds(milliseconds: float) -> str:
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.1f}"


def _dollars(dollars: float) -> str:
    return f"{dollars:,.0f}" if dollars >= 100 else f"{dollars:.2f}"
