"""Runs all simulations of the capacity study and creates its tables."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from jobs.capacity_study.cloud_run import ServiceConfig
from jobs.capacity_study.quotas import bottlenecks
from jobs.capacity_study.report_tables import (
    ReportTable,
    configs_table,
    limits_table,
    measurements_table,
    reached_limits_table,
    recommendations_table,
    scales_table,
)
from jobs.capacity_study.scenarios import SCALES_CONFIG, Scenario, recommend, simulate_scales
from jobs.capacity_study.service_profile import ServiceProfile
from jobs.capacity_study.traffic import TRAFFIC_PATTERNS, TrafficProfile, count_rides, taxi_day
from jobs.ui.markdown import fill_placeholders


class CapacityStudy:
    """Simulates scales of traffic for every function, and configurations of one of them."""

    def __init__(
        self,
        functions: Mapping[str, ServiceProfile],
        function: str,
        configs: Sequence[ServiceConfig],
        seed: int,
        trips: str | None,
    ) -> None:
        """
        Args:
            functions: measurements by function.
            function: whose configurations are compared.
            trips: URI of a month whose rides shape the day, as for `read_trips`.

        Raises:
            FileAccessError: the month cannot be read.
        """
        self._functions = functions
        self._function = function
        self._profile = functions[function]
        self._configs = configs
        self._seed = seed
        self._rides_by_part = count_rides(trips) if trips else None
        self._scales = {
            name: simulate_scales(profile, seed, self._rides_by_part) for name, profile in functions.items()
        }

    def reports(self, rate: float, other_rates: Iterable[float], fast_ms: float) -> dict[str, ReportTable]:
        """Returns the tables by their names in the document.

        Args:
            rate: requests a second for which all configurations are compared.
            other_rates: mean rates of further days for which a configuration is recommended.
            fast_ms: a p99 that is fast enough.
        """
        day = partial(taxi_day, counts=self._rides_by_part)
        patterns = [pattern(rate) for pattern in (TRAFFIC_PATTERNS | {"day": day}).values()]
        compared = {
            config: [self._simulate(traffic, config) for traffic in patterns] for config in self._configs
        }
        others = [[self._simulate(day(other), config) for config in self._configs] for other in other_rates]
        by_traffic = [*others, *(list(column) for column in zip(*compared.values(), strict=True))]
        recommendations = [recommend(scenarios, fast_ms) for scenarios in by_traffic]
        return {
            "figures": measurements_table(self._functions),
            **{_slug(name): scales_table(name, scales) for name, scales in self._scales.items()},
            **{
                f"{_slug(name)}-limits": reached_limits_table(name, scales)
                for name, scales in self._scales.items()
            },
            "limits": limits_table(bottlenecks(self._profile, SCALES_CONFIG)),
            "choices": configs_table(self._function, compared),
            "recommendations": recommendations_table(self._function, recommendations, fast_ms),
        }

    def write(self, folder: Path, reports: Mapping[str, ReportTable]) -> list[Path]:
        """Updates the document and its plot; returns their paths.

        Raises:
            PlaceholderNotFound: the folder has no such document, or the document has no place for a table.
        """
        # Matplotlib takes a second to import.
        from jobs.capacity_study.document import DOCUMENT, draw

        tables = {name: report.markdown() for name, report in reports.items()}
        limits = bottlenecks(self._profile, SCALES_CONFIG)
        return [fill_placeholders(folder / DOCUMENT, tables), draw(folder, self._scales, limits)]

    def _simulate(self, traffic: TrafficProfile, config: ServiceConfig) -> Scenario:
        return Scenario.simulated(traffic, self._profile, config, self._seed)


def _slug(function: str) -> str:
    return function.replace("_", "-")
