"""Mutation tests of infra/: a fault is put into a copy, and the check meant to find it must name it."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.infra.module import run_tests, terraform
from tests.infra.policies import POLICIES


class Fault(NamedTuple):
    file: str
    old: str
    new: str
    message: str
    """Part of the message that names it."""


INVALID = [
    Fault("mlflow", "disk_autoresize ", "disk_autosize ", 'argument named "disk_autosize"'),
    Fault("storage", '  format        = "DOCKER"\n', "", 'argument "format" is required'),
    Fault("outputs", '.main["models"].name', '.model["models"].name', '"google_storage_bucket" "model"'),
    Fault("monitoring", '"DELTA"', '"DELTAS"', "DELTAS"),
]
"""Found by `terraform validate`."""

WRONG = [
    [
        Fault("messaging", "delivery_attempts = 100", "delivery_attempts = 5", "not before 20 attempts"),
        Fault("messaging", "= 30 #", "= 700 #", "waits 700 s for an answer"),
        Fault("messaging", 'seven_days   = "604800s"', 'seven_days   = "600s"', "waits for seven days"),
        Fault("storage", '"enforced"', '"inherited"', "No bucket can be made public"),
        Fault("functions", '"python313"', '"python39"', "'python39'"),
        Fault("functions", "MODEL_BUCKETS ", "MODEL_BUCKET ", "gets MODEL_BUCKET, which it does not read"),
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
            "watches dead-letters, which does not exist",
        ),
    ],
    [
        Fault(
            "iam",
            '{ bucket = "models", role = "roles/storage.objectViewer", member = local.members[name] }',
            '{ bucket = "models", role = "roles/storage.objectAdmin", member = local.members[name] }',
            "not needed: Grant(member='ride-duration-predict', role='roles/storage.objectAdmin'",
        ),
        Fault(
            "iam",
            '"roles/pubsub.subscriber"',
            '"roles/pubsub.viewer"',
            "Pub/Sub cannot take dead letters out of",
        ),
        Fault("iam", 'member = local.members["${model}-push"] }', 'member = "allUsers" }', "is public"),
        Fault(
            "iam",
            'member = local.members["ridecast-sync"] }',
            'member = local.members["ridecast-score"] }',
            "not granted: Grant(member='ridecast-sync', role='roles/storage.objectViewer'",
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
            "gets PUSH_AUDIENCE: Cloud Run itself",
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
"""Found by Terraform's own tests or the policies; each group holds faults that do not hide each other."""


def mutate(initialised: Path, folder: Path, faults: list[Fault]) -> Path:
    shutil.copytree(initialised, folder, symlinks=True)
    for fault in faults:
        path = folder / f"{fault.file}.tf"
        text = path.read_text()
        assert fault.old in text, f"{fault.old!r} is no longer in {path.name}"
        path.write_text(text.replace(fault.old, fault.new, 1))
    return folder


def test_invalid_configuration_is_rejected(initialised: Path, tmp_path: Path) -> None:
    process = terraform(mutate(initialised, tmp_path / "infra", INVALID), "validate", "-no-color")
    output = " ".join(process.stderr.split())
    assert [fault for fault in INVALID if fault.message not in output] == [], process.stderr


@pytest.mark.parametrize("faults", WRONG, ids=["resources", "access"])
def test_each_fault_is_named(initialised: Path, tmp_path: Path, faults: list[Fault]) -> None:
    run = run_tests(mutate(initialised, tmp_path / "infra", faults), "everything")
    assert run.state, run.messages
    messages = [run.messages, *(each for policy in POLICIES for each in policy(run.state))]
    missed = [fault for fault in faults if not any(fault.message in each for each in messages)]
    assert missed == [], "\n".join(messages)


def test_the_real_configuration_has_no_diagnostics(everything) -> None:  # type: ignore[no-untyped-def]
    assert everything.messages == ""
