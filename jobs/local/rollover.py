"""How one champion took over from another under way: in numbers, and as a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from functions.rides import RideId
from jobs.events.replay import RecordedRide
from jobs.local.ledger import Ledger
from jobs.local.prefect_client import Span
from jobs.local.screen import Outcome
from jobs.ui.palette import BLUE, GREY, ORANGE

RUNNING_RIDES = 101
"""Whose median error the picture draws, so that luck does not show."""


@dataclass(frozen=True)
class Takeover:
    """A stream of predictions, in the order in which they were published, [n] each."""

    at: npt.NDArray[np.float64]
    """When, in seconds since the first."""
    off: npt.NDArray[np.float64]
    """Minutes between prediction and ride, without sign."""
    versions: list[str]
    """The model's."""
    spans: Mapping[str, Span]
    """What the flow did meanwhile, in the same seconds."""
    sent: int
    lost: int

    @classmethod
    def of(cls, ledger: Ledger, rides: Sequence[RecordedRide], spans: Mapping[str, Span]) -> Self:
        actual: dict[RideId, float] = {ride.ride_id: ride.actual_minutes for ride in rides}
        stream = sorted(ledger.predicted.items(), key=lambda item: item[1].at)
        began = stream[0][1].at
        return cls(
            np.array([each.at - began for _, each in stream]),
            np.array([abs(each.minutes - actual[ride_id]) for ride_id, each in stream]),
            [each.version for _, each in stream],
            {name: Span(span.began - began, span.ended - began) for name, span in spans.items()},
            ledger.sent,
            ledger.lost,
        )

    @property
    def changes(self) -> int:
        """How often a prediction is by another version than the one before."""
        return sum(before != after for before, after in pairwise(self.versions))

    @property
    def errors(self) -> dict[str, float]:
        """Mean absolute error in minutes by version, in their order of appearance."""
        return {
            version: float(self.off[np.array(self.versions) == version].mean())
            for version in dict.fromkeys(self.versions)
        }

    @property
    def good(self) -> bool:
        """Nothing lost, and one change, for the better."""
        first, *later = self.errors.values()
        return self.lost == 0 and self.changes == len(later) == 1 and later[0] < first

    def rows(self) -> list[tuple[str, str]]:
        """Each number under its name."""
        flow = ", ".join(f"{name} {span.ended - span.began:.1f} s" for name, span in self.spans.items())
        seconds = self.at[-1]
        return [
            ("events", f"{self.sent} in {seconds:.0f} s, {len(self.versions)} predicted, {self.lost} lost"),
            ("versions", f"{' → '.join(self.errors)}, {self.changes} change of version in the stream"),
            *(
                (f"version {version}", f"off by {error:.2f} minutes on average")
                for version, error in self.errors.items()
            ),
            ("flow", flow),
        ]

    def title(self) -> str:
        """The outcome in a line."""
        if not self.good:
            return "The month drifted, and something is wrong with what came of it"
        first, last = self.errors.values()
        return (
            f"The month drifted, a new champion took over: off by {last:.1f} minutes instead of {first:.1f}, "
            f"{self.lost} events lost"
        )

    def outcome(self) -> Outcome:
        """All of it, to be shown."""
        return Outcome(self.title(), self.rows(), self.good)

    def draw(self) -> Figure:
        """Each ride's error as a point in its version's colour, over what the flow did meanwhile."""
        figure = Figure(figsize=(10, 4.8), dpi=110, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        above.set(ylabel="minutes off", ylim=(0, np.quantile(self.off, 0.95)))
        figure.suptitle(self.title())
        versions = np.array(self.versions)
        for (version, error), colour in zip(self.errors.items(), (ORANGE, BLUE), strict=False):
            at, off = self.at[versions == version], self.off[versions == version]
            above.scatter(at, off, s=6, color=colour, alpha=0.3, linewidths=0)
            label = f"version {version}: {error:.1f} minutes off on average"
            above.plot(at, _running_median(off), color=colour, linewidth=2.5, label=label)
        above.legend(loc="upper left", ncols=2)
        names = list(self.spans)
        began = [span.began for span in self.spans.values()]
        below.barh(names, [span.ended - span.began for span in self.spans.values()], left=began, color=GREY)
        below.invert_yaxis()
        below.set(xlabel="seconds of the stream")
        for axes in (above, below):
            axes.spines[["top", "right"]].set_visible(False)
            axes.axvline(self.at[versions == self.versions[-1]][0], color=BLUE, linewidth=1, linestyle=":")
        return figure


def _running_median(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    reach = RUNNING_RIDES // 2
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, reach, mode="reflect"), RUNNING_RIDES)
    medians: npt.NDArray[np.float64] = np.median(windows, axis=1)
    return medians
