"""The planned values are those stored, so that every change of a value, an edge or a life cycle is seen."""

import difflib
from pathlib import Path

from tests.infra.module import AppliedState, run_tests
from tests.infra.test_mutants import Fault, mutate
from tests.infra.values import STORED, as_text, document

RENEW = "If the change is intended, run `make values` and review the difference"


MISTAKES = [
    # waiting and time-outs
    Fault("functions", "timeout     = 30", "timeout     = 5", '"timeout_seconds": 5'),
    Fault("messaging", "ack_deadline_seconds       = 60", "ack_deadline_seconds       = 10", '": 10,'),
    Fault("batch", '"3600s"', '"36s"', '"timeout": "36s"'),
    Fault("mlflow", "failure_threshold = 24", "failure_threshold = 2", '"failure_threshold": 2,'),
    Fault("messaging", 'max_duration             = "300s"', 'max_duration             = "60s"', '"60s"'),
    # wiring
    Fault(
        "functions",
        'PREDICTIONS_TOPIC = google_pubsub_topic.main["predictions"].id\n'
        '          DEAD_LETTER_TOPIC = google_pubsub_topic.main["ride-events-dead-letter"].id',
        'PREDICTIONS_TOPIC = google_pubsub_topic.main["ride-events-dead-letter"].id\n'
        '          DEAD_LETTER_TOPIC = google_pubsub_topic.main["predictions"].id',
        '"DEAD_LETTER_TOPIC": "<google_pubsub_topic.main[\\"predictions\\"].id>"',
    ),
    Fault("functions", 'entry_point = "predict_event"', 'entry_point = "predict"', '"entry_point": "pre'),
    Fault(
        "messaging",
        'audience              = google_cloudfunctions2_function.main["${each.key}-predict-event"]',
        'audience              = google_cloudfunctions2_function.main["${each.key}-predict"]',
        '"audience": "<google_cloudfunctions2_function.main[\\"ride-fare-predict\\"]',
    ),
    Fault("bigquery", '"${each.key}-predict"].service', '"ride-fare-predict"].service', '"endpoint": "<'),
    Fault("batch", "local.pointers[model]", 'local.pointers["ride-fare"]', "releases/ride-fare/champion"),
    Fault("storage", '.main["source"].name\n  source', '.main["models"].name\n  source', '"bucket": "rid'),
    # places
    Fault("storage", "location                    = var.region", 'location = "US"', '"location": "US"'),
    Fault("batch", "location            = var.region", 'location = "europe-west1"', '"europe-west1"'),
    Fault("batch", '"America/New_York"', '"Etc/UTC"', '"time_zone": "Etc/UTC"'),
    # what is kept and for how long
    Fault("messaging", "      write_metadata = true\n", "      write_metadata = false\n", "write_metadata"),
    Fault("messaging", "    write_metadata = true\n", "", '"write_metadata": true'),
    Fault(
        "storage",
        "deletes = [], keeps_versions = 10",
        "deletes = [{ prefixes = null, days = 90 }], keeps_versions = 10",
        '"age": 90',
    ),
    Fault("storage", "keep_count = 10", "keep_count = 1", '"keep_count": 1'),
    Fault("bigquery", 'field = "publish_time"', "field = null", '"field": "publish_time"'),
    # filters and alerts
    Fault("monitoring", 'response_code_class=\\"5xx\\""', 'response_code_class=\\"4xx\\""', "4xx"),
    Fault("monitoring", "above = 1000,", "above = 100000,", '"threshold_value": 100000'),
    Fault("monitoring", 'comparison         = "COMPARISON_GT"', 'comparison = "COMPARISON_LT"', "_LT"),
    Fault(
        "monitoring",
        'jsonPayload.outcome=\\"dead_letter\\""',
        'jsonPayload.outcome=\\"dead\\""',
        '\\"dead\\"',
    ),
    Fault("monitoring", "httpRequest.status<400", "httpRequest.status<600", "status<600"),
    Fault("dashboard", "metric.label.reason", "metric.label.cause", "metric.label.cause"),
    Fault("messaging", "filter                     = each.value.filter", "filter = null", "hasPrefix"),
    # roles, conditions, triggers
    Fault(
        "delivery",
        '"roles/storage.admin",\n  ]',
        '"roles/storage.admin",\n    "roles/editor",\n  ]',
        "roles/editor",
    ),
    Fault(
        "delivery",
        '\\"roles/bigquery.jobUser\\"])',
        '\\"roles/bigquery.jobUser\\", \\"roles/owner\\"])',
        "roles/owner",
    ),
    Fault("iam", "/objects/releases/", "/objects/", "test-models/objects/"),
    Fault("delivery", 'push = ["^main$"]', 'push = [".*"]', '"branch": ".*"'),
    Fault(
        "delivery",
        "COMMENTS_ENABLED_FOR_EXTERNAL_CONTRIBUTORS_ONLY",
        "COMMENTS_DISABLED",
        "COMMENTS_DISABLED",
    ),
    # size and settings
    Fault(
        "functions",
        "max_instance_request_concurrency = each.value.settings.concurrency",
        "max_instance_request_concurrency = 1",
        '"max_instance_request_concurrency": 1,',
    ),
    Fault(
        "functions",
        "min_instance_count               = each.value.settings.min_instances",
        "min_instance_count = 0",
        '"min_instance_count": 1',
    ),
    Fault(
        "functions",
        "all_traffic_on_latest_revision   = true",
        "all_traffic_on_latest_revision = false",
        '"all_traffic_on_latest_revision": false',
    ),
    Fault("mlflow", '"--no-serve-artifacts",', "", "--no-serve-artifacts"),
    Fault("mlflow", 'value = "1" # 0', 'value = "50" # 0', '"value": "50"'),
    Fault("batch", "max_retries     = 2", "max_retries     = 0", '"max_retries": 0'),
    Fault(
        "mlflow",
        "point_in_time_recovery_enabled = true",
        "point_in_time_recovery_enabled = false",
        "point_in_time",
    ),
    # order, life cycle, backend
    Fault(
        "batch",
        "[google_storage_bucket_iam_member.main, google_service",
        "[google_service",
        '"google_storage_bucket_iam_member.main',
    ),
    Fault(
        "bigquery",
        "  depends_on = [google_bigquery_table.stream]\n",
        "",
        '"google_bigquery_table.stream"',
    ),
    Fault(
        "storage",
        "[google_project_service.main]\n}\n\n# Named",
        "[google_project_service.main]\n  lifecycle {\n    ignore_changes = all\n  }\n}\n\n# Named",
        "ignore_changes = all",
    ),
    Fault("versions", 'backend "gcs" {}', 'backend "local" {}', '"local": ""'),
]
"""Realistic mistakes: time-outs, wiring, places, filters, roles, conditions, settings, order."""


def difference(state: AppliedState, folder: Path) -> list[str]:
    """Lines that are not as stored."""
    stored = STORED.read_text().splitlines()
    lines = difflib.unified_diff(stored, as_text(document(state, folder)).splitlines(), lineterm="", n=0)
    return [line for line in lines if line[0] in "+-"]


def test_all_values_are_the_stored_ones(state: AppliedState, initialised: Path) -> None:
    assert difference(state, initialised) == [], RENEW


def test_each_mistake_is_seen(initialised: Path, tmp_path: Path) -> None:
    folder = mutate(initialised, tmp_path / "infra", MISTAKES)
    run = run_tests(folder, "everything")
    assert run.state, run.messages
    lines = difference(run.state, folder)
    missed = [fault for fault in MISTAKES if not any(fault.message in line for line in lines)]
    assert missed == [], "\n".join(lines)
