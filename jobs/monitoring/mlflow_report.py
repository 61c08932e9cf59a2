"""A report in MLflow: one run each, whose metrics make a curve over the months."""

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pandas as pd

from jobs.monitoring.findings import Findings
from jobs.scoring.layout import fit
from jobs.settings import Settings

EXPERIMENT = "ride-duration-monitoring"
LONGEST_PARAMETER = 500
"""Characters that any MLflow takes."""


def log_report(findings: Findings, page: str, settings: Settings) -> str:
    """Metrics, parameters and the page, in a run of its own: its id.

    Args:
        page: in HTML.

    Raises:
        TrackingFailed: the tracking server or the bucket refuses.
    """
    # It takes seconds to import: a report that goes nowhere does without.
    import mlflow

    from jobs.registry.runs import tracked_run

    parameters = {
        "trips": findings.subject,
        "reference": findings.reference,
        "model_versions": ", ".join(findings.versions),
        **{f"limit_{name}": value for name, value in asdict(findings.limits).items()},
    }
    with tracked_run(settings, EXPERIMENT) as run_id:
        mlflow.log_params({name: str(value)[:LONGEST_PARAMETER] for name, value in parameters.items()})
        mlflow.log_metrics(
            {name: value for name, value in metrics_of(findings).items() if np.isfinite(value)}
        )
        mlflow.set_tag("exceeded", ", ".join(each.name for each in findings.exceeded))
        mlflow.log_text(page, "report.html")
    return run_id


def metrics_of(findings: Findings) -> dict[str, float]:
    """Everything that a report says in numbers, by MLflow's names; NaN is what is not known."""
    coverage = findings.coverage
    metrics = {
        "rides": findings.rides,
        "rides_reference": findings.reference_rides,
        "limits_exceeded": len(findings.exceeded),
        "coverage/unseen_zones": coverage.unseen_zones,
        "coverage/unseen_pairs": coverage.unseen_pairs,
        "coverage/zones_without_rides": coverage.without_rides,
        "rejected": coverage.rejected_share,
    }
    for drift in findings.drifts:
        metrics[f"drift/psi/{drift.name}"] = drift.psi
        metrics[f"drift/moved/{drift.name}"] = drift.moved
    if accuracy := findings.accuracy:
        metrics |= {"rides_compared": accuracy.rides, **asdict(accuracy.overall)}
        metrics |= dict(_by("rmse_by_borough", accuracy.by_borough))
        metrics |= dict(_by("rmse_by_hour", accuracy.by_hour.rename(index="{:02d}".format)))
        metrics |= dict(_by("rmse_by_version", accuracy.by_version))
    return metrics


def _by(name: str, errors: pd.DataFrame) -> Iterator[tuple[str, float]]:
    for group, rmse in errors.rmse.items():
        # As the training names them, where it does; a version from an event may be any text.
        yield f"{name}/{fit(str(group)) if name == 'rmse_by_version' else group}", rmse
