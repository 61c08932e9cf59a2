"""Faults in infra/ are found: each is made in a copy, and named by the check that is meant to see it."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.infra.module import terraform, try_tests
from tests.infra.policies import POLICIES


class Fault(NamedTuple):
    file: str
    was: str
    is_now: str
    said: str
    """Part of what a check says of it."""


INVALID = [
    Fault("mlflow", "disk_autoresize ", "disk_autosize ", 'argument named "disk_autosize"'),
    Fault("storage", '  format        = "DOCKER"\n', "", 'argument "format" is required'),
    Fault("outputs", '.main["models"].name', '.model["models"].name', '"google_storage_bucket" "model"'),
    Fault("monitoring", '"DELTA"', '"DELTAS"', "DELTAS"),
]
"""For `terraform validate`."""

WRONG = [
    [
        Fault("messaging", "delivery_attempts = 100", "delivery_attempts = 5", "not before 20 attempts"),
        Fault("messaging", "= 30 #", "= 700 #", "waits 700 s for an answer"),
        Fault("messaging", 'seven_days   = "604800s"', 'seven_days   = "600s"', "waits for seven days"),
        Fault("storage", '"enforced"', '"inherited"', "No bucket can be made public"),
        Fault("functions", '"python313"', '"python39"', "'python39'"),
        Fault("functions", "MODEL_BUCKETS ", "MODEL_BUCKET ", "is told MODEL_BUCKET, which it does not read"),
        Fault(
            "functions",
            "local.pointers[each.value.model]",
            'local.pointers["ride-duration"]',
            "own release pointer",
        ),
        Fault(
            "mlflow",
            "deletion_protection = var.deletion_protection\n\n  settings",
            "deletion_protection = false\n\n  settings",
            "protected from deletion",
        ),
        Fault(
            "delivery",
            'account = "ridecast-plan", apply',
            'account = "ridecast-deploy", apply',
            "can change nothing",
        ),
        Fault("variables", "optional(number, 512)", "optional(number, 1024)", "'1024Mi'"),
        Fault(
            "iam",
            '"Pub/Sub publishes dead letters" = { topic = "ride-events-dead-letter"',
            '"Pub/Sub publishes dead letters" = { topic = "predictions"',
            "Pub/Sub cannot publish dead letters",
        ),
        Fault(
            "monitoring",
            'subscription_id=\\"ride-events-dead-letter\\"',
            'subscription_id=\\"dead-letters\\"',
            "watches dead-letters, which is not there",
        ),
    ],
    [
        Fault(
            "iam",
            '{ bucket = "models", role = "roles/storage.objectViewer", member = local.members[name] }',
            '{ bucket = "models", role = "roles/storage.objectAdmin", member = local.members[name] }',
            "not needed: Grant(who='ride-duration-predict', role='roles/storage.objectAdmin'",
        ),
        Fault(
            "iam",
            '"roles/pubsub.subscriber"',
            '"roles/pubsub.viewer"',
            "Pub/Sub cannot take dead letters out of",
        ),
        Fault(
            "iam", 'member = local.members["${model}-push"] }', 'member = "allUsers" }', "is for everybody"
        ),
        Fault(
            "iam",
            'member = local.members["ridecast-sync"] }',
            'member = local.members["ridecast-score"] }',
            "not granted: Grant(who='ridecast-sync', role='roles/storage.objectViewer'",
        ),
        Fault(
            "messaging",
            'topic = "ride-events-dead-letter", filter',
            'topic = "predictions", filter',
            "nobody reads ride-events-dead-letter",
        ),
        Fault(
            "messaging", '["${each.key}-push"].email', '["ridecast-scheduler"].email', "as its own account"
        ),
        Fault(
            "functions",
            "google_service_account.main[each.key].email",
            'google_service_account.main["ride-duration-predict"].email',
            "two functions share an account",
        ),
        Fault(
            "functions",
            "environment = {}",
            'environment = { PUSH_AUDIENCE = "https://example.com" }',
            "is told PUSH_AUDIENCE: Cloud Run itself",
        ),
        Fault("mlflow", '"MLFLOW_SERVER_ENABLE_JOB_EXECUTION"', '"DB_PASSWORD"', "DB_PASSWORD is a value"),
        Fault(
            "identities",
            '"ridecast-sync"      =',
            '"ridecast-idle" = "does nothing"\n      "ridecast-sync"      =',
            "nothing runs as ridecast-idle",
        ),
        Fault("messaging", "= 300 #", "= 60 #", "for longer than its deadline"),
        Fault("batch", '"0 3 2 * *"', '"0 3 * * *"', "each month's second day"),
        Fault(
            "delivery",
            '= "roles/resourcemanager.projectIamAdmin"',
            '= "roles/owner"',
            "role='roles/owner'",
        ),
    ],
]
"""For Terraform's own tests and for the policies; those that do not hide each other at once."""


def spoil(initialised: Path, folder: Path, faults: list[Fault]) -> Path:
    shutil.copytree(initialised, folder, symlinks=True)
    for fault in faults:
        path = folder / f"{fault.file}.tf"
        text = path.read_text()
        assert fault.was in text, f"{fault.was!r} is no longer in {path.name}"
        path.write_text(text.replace(fault.was, fault.is_now, 1))
    return folder


def test_what_is_no_configuration_is_invalid(initialised: Path, tmp_path: Path) -> None:
    done = terraform(spoil(initialised, tmp_path / "infra", INVALID), "validate", "-no-color")
    said = " ".join(done.stderr.split())
    assert [fault for fault in INVALID if fault.said not in said] == [], done.stderr


@pytest.mark.parametrize("faults", WRONG, ids=["what is made", "who may do what"])
def test_what_is_wrong_is_named(initialised: Path, tmp_path: Path, faults: list[Fault]) -> None:
    tried = try_tests(spoil(initialised, tmp_path / "infra", faults), "everything")
    assert tried.made, tried.said
    said = [tried.said, *(each for policy in POLICIES for each in policy(tried.made))]
    missed = [fault for fault in faults if not any(fault.said in each for each in said)]
    assert missed == [], "\n".join(said)


def test_nothing_of_that_is_said_of_what_is_right(everything) -> None:  # type: ignore[no-untyped-def]
    assert everything.said == ""
