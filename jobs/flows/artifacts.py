"""What came of a file, as Prefect's pages show it."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jobs.scoring.job import Done, Wish
from jobs.scoring.layout import Output
from jobs.scoring.stats import Outcome
from jobs.storage.files import name_of

CONSOLE = "https://console.cloud.google.com/storage/browser/"
"""Google Cloud's own page of a bucket's folder."""


@dataclass(frozen=True)
class Report:
    """A file that is scored."""

    title: str
    """`green 2021-03`, or the name of the file."""
    trips: str
    """Where its input is, whatever its rows are."""
    output: Output
    model: str
    version: str
    unit: str = ""
    outcome: Outcome | None = None
    """None where it had been scored before, and was left as it is."""
    seconds: float = 0.0

    @classmethod
    def of(cls, wish: Wish, done: Done) -> "Report":
        model = done.model
        return cls(
            title_of(wish),
            wish.trips,
            done.output,
            model.release.name,
            model.version,
            model.target.unit,
            done.outcome,
            done.seconds,
        )

    @property
    def key(self) -> str:
        """Under which Prefect keeps the reports of this file, the newest first."""
        return slug(f"{self.model} {self.title}")

    def line(self) -> str:
        """In a sentence."""
        if self.outcome is None:
            return f"{self.title}: finished before, {self.output.predictions} is left as it is"
        outcome = self.outcome
        known = f", RMSE {outcome.rmse:.4f}" if outcome.compared else ""
        return (
            f"{self.title}: {outcome.rows:,} rows by {self.model} version {self.version} in "
            f"{self.seconds:.1f} s, {outcome.predicted:,} predicted (mean {outcome.mean:.4f} {self.unit}"
            f"{known}), {outcome.rejected.total():,} rejected"
        )

    def markdown(self) -> str:
        """A table of all that is known, and where everything is."""
        rows = {"model": f"{self.model}, version {self.version}"}
        if outcome := self.outcome:
            rows |= {
                "rows": f"{outcome.rows:,}, {outcome.rows / self.seconds:,.0f} a second",
                "predicted": f"{outcome.predicted:,}, mean {outcome.mean:.4f} {self.unit}",
            }
            rows |= {f"– with a {what}": f"{count:,}" for what, count in outcome.mended.items()}
            if outcome.compared:
                rows["– compared with what was"] = (
                    f"{outcome.compared:,}, RMSE {outcome.rmse:.4f}, "
                    f"mean absolute error {outcome.mae:.4f} {self.unit}"
                )
            rows["rejected"] = f"{outcome.rejected.total():,}"
            rows |= {f"– {reason}": f"{count:,}" for reason, count in outcome.rejected.most_common()}
        head, *body = [f"| {_cell(name)} | {_cell(text)} |" for name, text in rows.items()]
        places = {
            "input": link(self.trips),
            "predictions": link(self.output.predictions),
            "rejected": link(self.output.rejected),
        }
        return "\n".join(
            [f"### {self.title}", "", head, "|---|---|", *body, ""]
            + [f"- {name}: {place}" for name, place in places.items()]
        )

    def row(self) -> dict[str, str]:
        """Of a table of several files, by column; as `failed_row`."""
        outcome = self.outcome
        return {
            "month": self.title,
            "state": "finished before" if outcome is None else "scored",
            "rows": f"{outcome.rows:,}" if outcome else "",
            "predicted": f"{outcome.predicted:,}" if outcome else "",
            "rejected": f"{outcome.rejected.total():,}" if outcome else "",
            "mean": f"{outcome.mean:.2f}" if outcome else "",
            "RMSE": f"{outcome.rmse:.2f}" if outcome and outcome.compared else "",
            "version": self.version,
            "predictions": link(self.output.predictions),
        }


def failed_row(title: str, error: BaseException) -> dict[str, str]:
    """The same of a file that could not be scored."""
    blank = dict.fromkeys(("rows", "predicted", "rejected", "mean", "RMSE", "version"), "")
    return {"month": title, "state": "failed"} | blank | {"predictions": without_queries(str(error))}


def title_of(wish: Wish) -> str:
    """What people call a file."""
    if wish.month:
        return f"{wish.taxi} {wish.month:%Y-%m}".strip()
    return PurePosixPath(name_of(wish.trips)).stem


def link(place: str) -> str:
    """A place in Markdown: a link to it, on `gs://` to its folder; a path as it is on this machine."""
    if place.startswith("gs://"):
        folder, _, _ = place.removeprefix("gs://").rpartition("/")
        return f"[{place}]({CONSOLE}{folder})"
    return f"<{without_queries(place)}>" if "://" in place else f"`{Path(place).absolute()}`"


def without_queries(text: str) -> str:
    """A text whose `https://` addresses have no query, which may be a signature that lets everybody in."""
    return re.sub(r"(https?://[^\s?]*)\?\S*", r"\1", text)


def slug(text: str) -> str:
    """A text as the key of an artifact: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _cell(text: str) -> str:
    # A reason names a column, which may be called anything.
    return re.sub(r"([\\|])", r"\\\1", " ".join(text.split()))
