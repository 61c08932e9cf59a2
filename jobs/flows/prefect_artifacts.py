"""The report on a scored file, as Prefect's UI shows it."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jobs.scoring.job import ScoringRequest, ScoringResult
from jobs.scoring.layout import OutputFiles
from jobs.scoring.stats import ScoringStats
from jobs.storage.files import basename
from jobs.ui.markdown import markdown_table
from jobs.ui.text import count

CONSOLE = "https://console.cloud.google.com/storage/browser/"
"""Google Cloud's page for a folder of a bucket."""


@dataclass(frozen=True)
class ScoringReport:
    """A scored file."""

    title: str
    """`green 2021-03`, or the name of the file."""
    input: str
    """A path, `gs://` or `https://`."""
    output: OutputFiles
    model: str
    version: str
    unit: str = ""
    """As it follows a number: " minutes"."""
    stats: ScoringStats | None = None
    """None if an earlier run scored the file, and it was left unchanged."""
    seconds: float = 0.0

    @classmethod
    def of(cls, request: ScoringRequest, result: ScoringResult) -> "ScoringReport":
        model = result.model
        return cls(
            title_of(request),
            request.input,
            result.output,
            model.release.name,
            model.version,
            model.target.unit_suffix,
            result.stats,
            result.seconds,
        )

    @property
    def key(self) -> str:
        """The key of Prefect's artifacts for this file; Prefect lists those of one key newest first."""
        return slug(f"{self.model} {self.title}")

    def summary(self) -> str:
        """The report in one line."""
        stats = self.stats
        if stats is None:
            return f"{self.title}: finished before, {self.output.predictions} is left unchanged"
        rmse = f", RMSE {stats.rmse:.4f}" if stats.compared else ""
        return (
            f"{self.title}: {count(stats.rows, 'row')} by {self.model} version {self.version} in "
            f"{self.seconds:.1f} s, {stats.predicted:,} predicted (mean {stats.mean:.4f}{self.unit}"
            f"{rmse}), {stats.rejected.total():,} rejected"
        )

    def markdown(self) -> str:
        """A table of the statistics, and links to the files."""
        rows = {"model": f"{self.model}, version {self.version}"}
        if stats := self.stats:
            rows |= {
                "rows": f"{stats.rows:,}, {stats.rows / self.seconds:,.0f} a second",
                "predicted": f"{stats.predicted:,}, mean {stats.mean:.4f}{self.unit}",
            }
            rows |= {f"– with a {what}": f"{count:,}" for what, count in stats.repaired.items()}
            if stats.compared:
                rows["– with a known actual value"] = (
                    f"{stats.compared:,}, RMSE {stats.rmse:.4f}, "
                    f"mean absolute error {stats.mae:.4f}{self.unit}"
                )
            rows["rejected"] = f"{stats.rejected.total():,}"
            rows |= {f"– {reason}": f"{count:,}" for reason, count in stats.rejected.most_common()}
        (*header,), *body = rows.items()
        files = {"input": self.input, **self.output._asdict()}
        links = [f"- {name}: {link(uri)}" for name, uri in files.items()]
        return "\n".join([f"### {self.title}", "", markdown_table(header, body), *links])

    def row(self) -> dict[str, str]:
        """The report as a row of a table of several files, by column; `failed_row` has the same columns."""
        stats = self.stats
        return {
            "month": self.title,
            "state": "scored" if stats else "finished before",
            "rows": f"{stats.rows:,}" if stats else "",
            "predicted": f"{stats.predicted:,}" if stats else "",
            "rejected": f"{stats.rejected.total():,}" if stats else "",
            "mean": f"{stats.mean:.2f}" if stats else "",
            "RMSE": f"{stats.rmse:.2f}" if stats and stats.compared else "",
            "version": self.version,
            "predictions": link(self.output.predictions),
        }


def failed_row(title: str, error: BaseException) -> dict[str, str]:
    """The row of a file that could not be scored."""
    blank = dict.fromkeys(("rows", "predicted", "rejected", "mean", "RMSE", "version"), "")
    return {"month": title, "state": "failed"} | blank | {"predictions": redact_queries(str(error))}


def title_of(request: ScoringRequest) -> str:
    """A short name for the file: taxi and month, or else the file's name without its extension."""
    if request.month:
        return f"{request.taxi} {request.month:%Y-%m}".strip()
    return PurePosixPath(basename(request.input)).stem


def link(uri: str) -> str:
    """The URI in Markdown: `gs://` as a link to the folder in Google Cloud's console, paths absolute."""
    if uri.startswith("gs://"):
        folder, _, _ = uri.removeprefix("gs://").rpartition("/")
        return f"[{uri}]({CONSOLE}{folder})"
    return f"<{redact_queries(uri)}>" if "://" in uri else f"`{Path(uri).absolute()}`"


def redact_queries(text: str) -> str:
    """Removes what may grant access from all web addresses in a text: queries, user names and passwords."""
    return re.sub(r"(https?://)(?:[^\s/?]*@)?([^\s?]*)(?:\?\S*)?", r"\1\2", text)


def slug(text: str) -> str:
    """A text as the key of an artifact: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
