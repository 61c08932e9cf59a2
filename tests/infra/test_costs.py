"""The costs in docs/deploy.md follow from the prices in jobs/capacity_study."""

import logging
import re
from pathlib import Path

from functions.telemetry import CloudFormatter, Trace, fields, set_trace
from jobs.capacity_study import pricing
from jobs.capacity_study.service_profile import FUNCTIONS
from tests.infra.module import AppliedState

EVENT = FUNCTIONS["predict_event"]
GIB = pricing.memory_gib(EVENT)
STORAGE_TIB = 50.0
"""Dollars per TiB written by a Cloud Storage subscription; the same as for BigQuery."""
LOGGED_GIB = 0.5
"""Dollars per GiB ingested by Cloud Logging."""
MIN_BILLED_SECONDS = 60
"""Least time that Cloud Run bills for one run of a job."""
SCHEDULER_JOB = 0.10
"""Dollars per Cloud Scheduler job and month."""


def figures(table: str) -> list[float]:
    text = Path("docs/deploy.md").read_text()
    rows = text.partition(f"<!-- {table} -->\n")[2].partition(f"<!-- /{table} -->")[0]
    return [float(each) for each in re.findall(r"\| ([\d.]+) \|$", rows, re.MULTILINE)]


def test_a_million_events() -> None:
    second = pricing.ACTIVE_VCPU_SECOND + GIB * pricing.ACTIVE_GIB_SECOND
    service, whole = EVENT.service_ms / 1000, (EVENT.service_ms + EVENT.wait_ms) / 1000
    assert figures("million") == [
        round(pricing.message_cost(pricing.MILLION, EVENT), 3),
        round(pricing.MILLION * EVENT.event_bytes / pricing.TIB * STORAGE_TIB, 3),
        round(pricing.MILLION * pricing.REQUEST, 3),
        round(pricing.MILLION * whole * second, 3),
        round(pricing.MILLION * service * second, 3),
        round(pricing.MILLION * 700 / 2**30 * LOGGED_GIB, 3),
    ]
    text = Path("docs/deploy.md").read_text()
    assert f"t = {whole * 1000:.2f} ms" in text
    assert f"More than {whole / service:.1f} at once" in text


def test_a_month(state: AppliedState) -> None:
    idle = pricing.IDLE_VCPU_SECOND + GIB * pricing.IDLE_GIB_SECOND
    job = state.of("google_cloud_run_v2_job")["sync-ride-duration"]["template"][0]["template"][0]
    (container,) = job["containers"]
    assert container["resources"][0]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert state.of("google_cloud_scheduler_job")["sync-ride-duration"]["schedule"] == "0 * * * *"
    run = MIN_BILLED_SECONDS * (pricing.WHOLE_VCPU_SECOND + pricing.WHOLE_GIB_SECOND)
    assert figures("month") == [
        round(idle * pricing.MONTH_SECONDS, 2),
        round(run * pricing.MONTH_SECONDS / 3600, 2),
        SCHEDULER_JOB,
    ]


def test_a_line_of_the_log() -> None:
    set_trace(Trace("0" * 31 + "1", "1" * 16))
    record = logging.LogRecord("ridecast", logging.INFO, "", 0, "ride event", (), None)
    line = {"outcome": "predicted", "message_id": "12345678901234567", "ride_id": 123456}
    record.__dict__ |= fields(**line, model_version="12", latency_ms=3.42)
    written = CloudFormatter("ridecast-test").format(record)
    set_trace(None)
    assert round(len(written), -2) == 300
