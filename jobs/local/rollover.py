"""The change from one served model version to the next in a stream of predictions: figures and a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from functions.rides import RideId
from jobs.events.replay import RecordedRide
from jobs.local.ledger import DeliveryLedger
from jobs.local.prefect_client import TimeSpan
from jobs.local.screen import SummaryPanel
from jobs.ui.palette import BLUE, GREY, ORANGE

WINDOW_RIDES = 101
"""Window of the running mean in the plot, which hides the random variation of single rides."""


@dataclass(frozen=True)
class Rollover:
    """A stream of predictions, in order of publication; arrays have one element for each, [n]."""

    seconds: npt.NDArray[np.float64]
    """Publish times, in seconds since the first."""
    errors: npt.NDArray[np.float64]
    """Absolute errors in minutes."""
    versions: list[str]
    """Model versions, [n]."""
    spans: Mapping[str, TimeSpan]
    """The flow's tasks, in seconds since the first prediction."""
    sent: int
    lost: int

    @classmethod
    def from_ledger(
        cls, ledger: DeliveryLedger, rides: Sequence[RecordedRide], spans: Mapping[str, TimeSpan]
    ) -> Self:
        """Takes the predictions from a ledger; `spans` are in seconds since 1970."""
        actual: dict[RideId, float] = {ride.ride_id: ride.actual_minutes for ride in rides}
        stream = sorted(ledger.predicted.items(), key=lambda item: item[1].published)
        start = stream[0][1].published
        return cls(
            np.array([prediction.published - start for _, prediction in stream]),
            np.array([abs(prediction.minutes - actual[ride_id]) for ride_id, prediction in stream]),
            [prediction.version for _, prediction in stream],
            {name: TimeSpan(span.started - start, span.ended - start) for name, span in spans.items()},
            ledger.sent,
            ledger.lost,
        )

    @property
    def changes(self) -> int:
        """How often a prediction is from another version than the one before it."""
        return sum(previous != version for previous, version in pairwise(self.versions))

    @property
    def mean_errors(self) -> dict[str, float]:
        """Mean absolute error in minutes by version, in order of appearance."""
        return {
            version: float(self.errors[np.array(self.versions) == version].mean())
            for version in dict.fromkeys(self.versions)
        }

    @property
    def success(self) -> bool:
        """Nothing was lost, and the version changed once, for the better."""
        first, *later = self.mean_errors.values()
        return self.lost == 0 and self.changes == len(later) == 1 and later[0] < first

    def rows(self) -> list[tuple[str, str]]:
        """Returns names and values of the figures."""
        flow = ", ".join(f"{name} {span.ended - span.started:.1f} s" for name, span in self.spans.items())
        predicted = len(self.versions)
        return [
            ("events", f"{self.sent} in {self.seconds[-1]:.0f} s, {predicted} predicted, {self.lost} lost"),
            ("versions", f"{' → '.join(self.mean_errors)}, {self.changes} change of version in the stream"),
            *(
                (f"version {version}", f"mean absolute error {error:.2f} minutes")
                for version, error in self.mean_errors.items()
            ),
            ("flow", flow),
        ]

    def title(self) -> str:
        """Returns the result in one line."""
        if not self.success:
            return "The data drifted, and something went wrong"
        first, last = self.mean_errors.values()
        return (
            f"The data drifted and a new champion took over: mean error {last:.1f} minutes instead of "
            f"{first:.1f}, {self.lost} events lost"
        )

    def panel(self) -> SummaryPanel:
        """Returns the summary to be shown."""
        return SummaryPanel(self.title(), self.rows(), self.success)

    def draw(self) -> Figure:
        """Plots each ride's error in its version's color, above the times of the flow's tasks."""
        figure = Figure(figsize=(10, 4.8), dpi=110, layout="constrained")
        error_axes, flow_axes = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        error_axes.set(ylabel="absolute error, minutes", ylim=(0, np.quantile(self.errors, 0.95)))
        figure.suptitle(self.title())
        versions = np.array(self.versions)
        for (version, mean_error), color in zip(self.mean_errors.items(), (ORANGE, BLUE), strict=False):
            seconds, errors = self.seconds[versions == version], self.errors[versions == version]
            error_axes.scatter(seconds, errors, s=6, color=color, alpha=0.3, linewidths=0)
            label = f"version {version}: mean error {mean_error:.1f} minutes"
            error_axes.plot(seconds, _running_mean(errors), color=color, linewidth=2.5, label=label)
        error_axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0)
        starts = [span.started for span in self.spans.values()]
        durations = [span.ended - span.started for span in self.spans.values()]
        flow_axes.barh(list(self.spans), durations, left=starts, color=GREY)
        flow_axes.invert_yaxis()
        flow_axes.set(xlabel="seconds since the first prediction")
        change = self.seconds[versions == self.versions[-1]][0]
        for axes in (error_axes, flow_axes):
            axes.spines[["top", "right"]].set_visible(False)
            axes.axvline(change, color=BLUE, linewidth=1, linestyle=":")
        return figure


def _running_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    padded = np.pad(values, WINDOW_RIDES // 2, mode="reflect")
    return np.convolve(padded, np.full(WINDOW_RIDES, 1 / WINDOW_RIDES), mode="valid")
