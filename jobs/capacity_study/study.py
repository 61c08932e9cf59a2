"""Everything that one run of the command simulates, and its tables."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from jobs.capacity_study.cloud_run import Choice
from jobs.capacity_study.quotas import ladder
from jobs.capacity_study.report_tables import (
    Report,
    choices_report,
    figures_report,
    limits_report,
    met_report,
    recommendations_report,
    scales_report,
)
from jobs.capacity_study.scenarios import SCALES_CHOICE, Planned, Scale, recommend, scales
from jobs.capacity_study.service_profile import Measured
from jobs.capacity_study.traffic import PROFILES, Profile, rides_by_part, taxi_day
from jobs.ui.markdown import fill_tables


class Study:
    """Simulates scales of every function, and choices for one of them."""

    def __init__(
        self,
        functions: Mapping[str, Measured],
        function: str,
        choices: Sequence[Choice],
        seed: int,
        trips: str | None,
    ) -> None:
        """
        Args:
            functions: what was measured, by function.
            function: whose choices are compared.
            trips: a month that gives the day its shape, as `read_trips` takes it.

        Raises:
            FileAccessError: the month cannot be read.
        """
        self._functions = functions
        self._function = function
        self._measured = functions[function]
        self._choices = choices
        self._seed = seed
        self._counts = rides_by_part(trips) if trips else None
        self._scales: dict[str, list[Scale]] = {
            name: scales(measured, seed, self._counts) for name, measured in functions.items()
        }

    def reports(self, rate: float, other_rates: Iterable[float], quick_ms: float) -> dict[str, Report]:
        """The tables by their names in the document.

        Args:
            rate: for which all choices are shown, in requests a second.
            other_rates: further days for which a choice is recommended.
            quick_ms: quick enough for 99 of 100 requests.
        """
        day = partial(taxi_day, counts=self._counts)
        kinds = [make(rate) for make in (PROFILES | {"day": day}).values()]
        shown = {choice: [self._plan(profile, choice) for profile in kinds] for choice in self._choices}
        others = [[self._plan(day(other), choice) for choice in self._choices] for other in other_rates]
        by_traffic = [*others, *(list(column) for column in zip(*shown.values(), strict=True))]
        recommended = [recommend(planned, quick_ms) for planned in by_traffic]
        return {
            "figures": figures_report(self._functions),
            **{_slug(name): scales_report(name, each) for name, each in self._scales.items()},
            **{f"{_slug(name)}-limits": met_report(name, each) for name, each in self._scales.items()},
            "limits": limits_report(ladder(self._measured, SCALES_CHOICE)),
            "choices": choices_report(self._function, shown),
            "recommendations": recommendations_report(self._function, recommended, quick_ms),
        }

    def write(self, folder: Path, reports: Mapping[str, Report]) -> list[Path]:
        """Brings the document and its picture up to date.

        Raises:
            NoDocument: the folder has none.
        """
        # Matplotlib takes a second to import.
        from jobs.capacity_study.document import DOCUMENT, draw

        tables = {name: report.markdown() for name, report in reports.items()}
        limits = ladder(self._measured, SCALES_CHOICE)
        return [fill_tables(folder / DOCUMENT, tables), draw(folder, self._scales, limits)]

    def _plan(self, profile: Profile, choice: Choice) -> Planned:
        return Planned.of(profile, self._measured, choice, self._seed)


def _slug(function: str) -> str:
    return function.replace("_", "-")
