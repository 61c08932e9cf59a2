"""Logs each report as an MLflow run, so that its metrics form a curve over the months."""

from dataclasses import asdict
from typing import NamedTuple

import numpy as np

from jobs.monitoring.findings import Findings
from jobs.registry.ui_links import run_page
from jobs.scoring.layout import safe_name
from jobs.settings import Settings

EXPERIMENT = "ride-duration-monitoring"
DESCRIPTION = (
    "Reports of `python -m jobs report` and of the retraining flow: how far rides and errors have moved from "
    "those of the training. Each run is named after the rides it reports on; its page is `report.html`. "
    "Select the runs and choose *Compare* to see a metric over the months."
)


class LoggedReport(NamedTuple):
    """Where a report was logged."""

    run_id: str
    page: str
    """The run in MLflow's UI; empty without a server."""


def log_report(findings: Findings, page: str, settings: Settings) -> LoggedReport:
    """Logs metrics, parameters and the HTML page to a new run.

    Raises TrackingFailed if the tracking server or the bucket failed.
    """
    # MLflow takes seconds to import; a report that is not logged does not need it.
    import mlflow

    from jobs.registry.runs import Experiment, log_parameters, tracked_run

    parameters = {
        "trips": findings.subject,
        "reference": findings.reference,
        "model_versions": ", ".join(findings.versions),
        **{f"limit_{name}": value for name, value in asdict(findings.thresholds).items()},
    }
    experiment = Experiment(EXPERIMENT, DESCRIPTION)
    description = f"{findings.verdict}. {findings.warning}".strip()
    with tracked_run(settings, experiment, findings.title, description) as run:
        log_parameters(parameters)
        mlflow.log_metrics(
            {name: value for name, value in collect_metrics(findings).items() if np.isfinite(value)}
        )
        mlflow.set_tag("exceeded", ", ".join(check.name for check in findings.failed_checks))
        mlflow.log_text(page, "report.html")
    return LoggedReport(run.run_id, run_page(settings.tracking_uri, run.experiment_id, run.run_id))


def collect_metrics(findings: Findings) -> dict[str, float]:
    """All numbers of a report by their names in MLflow; NaN if unknown."""
    coverage = findings.coverage
    metrics = {
        "rides": findings.rides,
        "rides_reference": findings.reference_rides,
        "limits_exceeded": len(findings.failed_checks),
        "coverage/unseen_zones": coverage.unseen_zones,
        "coverage/unseen_pairs": coverage.unseen_pairs,
        "coverage/zones_without_rides": coverage.zones_without_rides,
        "coverage/rides_of_the_reference": coverage.known_rides / coverage.rides,
        "rejected": coverage.rejected_share,
    }
    for drift in findings.drifts:
        metrics[f"drift/psi/{drift.name}"] = drift.psi
        metrics[f"drift/moved/{drift.name}"] = drift.wasserstein
    if accuracy := findings.accuracy:
        metrics |= {"rides_compared": accuracy.rides, **asdict(accuracy.overall)}
        # Named as in training; a version read from an event may be any text.
        for name, errors in (
            ("borough", accuracy.by_borough),
            ("hour", accuracy.by_hour.rename(index="{:02d}".format)),
            ("version", accuracy.by_version.rename(index=safe_name)),
        ):
            metrics |= {f"rmse_by_{name}/{group}": rmse for group, rmse in errors.rmse.items()}
    return metrics
