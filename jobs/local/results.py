"""What `make run` leaves: the model, a report on it as a page, and commands to go on with."""

import shlex
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from functions.releases import Release
from jobs.local.cloud import LocalCloud
from jobs.local.emulators import object_path
from jobs.local.screen import Screen
from jobs.settings import PROJECT_ROOT
from jobs.storage.errors import FileAccessError
from jobs.trips.months import month_from_filename
from jobs.ui.hints import job_command, short_path

RESULTS = PROJECT_ROOT / ".cache" / "run"
DRIFT = 3
"""Exit code of `report` if a limit is exceeded, which is a result, too."""


class Results:
    """The results of a run; they replace those of the run before.

    Args:
        months: the trips that the model was trained on, and last those that it was evaluated on.
        folder: where to leave the results.
        day: a day of the last month.
    """

    def __init__(self, months: Sequence[str], folder: Path, day: date) -> None:
        folder = folder.absolute()  # commands of the cloud have another working directory
        self._months = months
        self.model = folder / "model"
        """An MLflow model, which needs no server."""
        self.page = folder / "report.html"
        self._predictions = folder / "predictions"
        self._day = day

    def save(self, cloud: LocalCloud, screen: Screen, release: Release) -> None:
        """Copies the model out of the cloud, and reports on the last month if it is not the training's."""
        shutil.rmtree(self.model, ignore_errors=True)
        shutil.copytree(object_path(cloud.folder, release.location), self.model)
        self.page.unlink(missing_ok=True)
        if len(self._months) > 1:
            with screen.step("report") as step:
                step.detail = f"{short_path(self.page)}, on {short_path(self._months[-1])}"
                options = ["--trips", self._months[-1], "--page", str(self.page)]
                cloud.run("report", *options, show=False, accept=[0, DRIFT])

    def description(self) -> str:
        """Returns what there is to look at, and commands to copy."""
        kept = {self.page: "how far the model is off, and what has drifted: open it in a browser"}
        kept |= {self.model: "the model, as MLflow saves it"}
        month, model, predictions = (
            shlex.quote(short_path(path)) for path in (self._months[-1], self.model, self._predictions)
        )
        score = f"score --trips {month} --model {model} --output {predictions}"
        try:
            month_from_filename(self._months[-1])
        except FileAccessError:
            score += f" --year {self._day.year} --month {self._day.month}"
        return "\n".join(
            [
                "\nThis run leaves:",
                *(f"  {short_path(path):<24} {what}" for path, what in kept.items() if path.exists()),
                "\nTry next:",
                "  make up       # keep everything running: MLflow in the browser, and commands to try",
                "  make retrain  # watch the data drift, and a retrained model take over",
                f"  {job_command(score)}",
            ]
        )
