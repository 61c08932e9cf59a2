import os
import sys

import pytest
import requests

from jobs.local.emulators import (
    INSTALL_PUBSUB,
    PUBSUB_IMAGE,
    PubSubEmulator,
    PubSubUnavailable,
    object_path,
    start_pubsub,
    start_storage,
)
from jobs.local.processes import ServiceFailed, responds

SERVE = f"exec {sys.executable} -m http.server --bind=127.0.0.1"


@pytest.fixture
def machine(tmp_path):
    """Makes an environment with no other programs on its PATH than the given shell scripts."""

    def make(**scripts):
        for name, script in scripts.items():
            program = tmp_path / "sdk" / "bin" / name
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
        return {"PATH": str(tmp_path / "sdk" / "bin")}

    return make


def test_without_gcloud_and_docker_there_is_no_emulator_and_the_reason_is_given(processes, tmp_path, machine):
    found = start_pubsub(processes, tmp_path, machine())

    assert isinstance(found, PubSubUnavailable)
    assert "gcloud with its Pub/Sub emulator is not installed" in found.reason
    assert INSTALL_PUBSUB.startswith("gcloud components install")


def test_gcloud_without_its_emulator_is_not_run_as_it_would_install_it(processes, tmp_path, machine):
    environment = machine(gcloud=f"touch {tmp_path}/was-run")

    assert isinstance(start_pubsub(processes, tmp_path, environment), PubSubUnavailable)
    assert not (tmp_path / "was-run").exists()


def test_gcloud_is_used_if_it_has_the_emulator(processes, tmp_path, machine):
    # gcloud's arguments: beta emulators pubsub start --quiet --host-port=127.0.0.1:PORT …
    environment = machine(
        gcloud=f'echo "$CLOUDSDK_CONFIG" > {tmp_path}/config; port=${{6##*:}}; {SERVE} $port'
    )
    (tmp_path / "sdk" / "platform" / "pubsub-emulator").mkdir(parents=True)

    found = start_pubsub(processes, tmp_path, environment)

    assert isinstance(found, PubSubEmulator)
    assert found.source == "gcloud"
    assert responds(f"http://{found.host}")
    configuration = (tmp_path / "config").read_text().strip()
    assert configuration == str(tmp_path / "gcloud"), "nothing may be left in the user's home"


def test_if_gcloud_fails_the_reason_is_given(processes, tmp_path, machine):
    environment = machine(gcloud="echo No java executable found >&2; exit 1")
    (tmp_path / "sdk" / "platform" / "pubsub-emulator").mkdir(parents=True)

    found = start_pubsub(processes, tmp_path, environment)

    assert isinstance(found, PubSubUnavailable)
    assert "No java executable found" in found.reason


def test_docker_is_next_and_has_another_name_for_this_machine(processes, tmp_path, machine):
    # docker's arguments: run --rm --init --publish=127.0.0.1:PORT:8085 …
    environment = machine(
        docker=f"""
        [ $1 = version ] && exit 0
        echo "$@" > {tmp_path}/arguments; rest=${{4#*:}}; {SERVE} ${{rest%:*}}
        """
    )

    found = start_pubsub(processes, tmp_path, environment)

    assert isinstance(found, PubSubEmulator)
    assert (found.source, found.callback_host) == ("Google's image", "host.docker.internal")
    assert PUBSUB_IMAGE in (tmp_path / "arguments").read_text()


def test_docker_that_is_not_running_is_no_emulator(processes, tmp_path, machine):
    found = start_pubsub(processes, tmp_path, machine(docker="exit 1"))

    assert isinstance(found, PubSubUnavailable)


def test_an_emulator_named_in_the_environment_comes_first(processes, tmp_path, machine):
    port = processes.start_on_free_port(
        "server",
        lambda port: [sys.executable, "-m", "http.server", "--bind=127.0.0.1", str(port)],
        os.environ,
        lambda port: responds(f"http://127.0.0.1:{port}"),
        20,
    )
    environment = machine() | {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{port}"}

    assert start_pubsub(processes, tmp_path, environment) == PubSubEmulator(
        f"127.0.0.1:{port}", "PUBSUB_EMULATOR_HOST"
    )


def test_an_emulator_named_in_the_environment_must_respond(processes, tmp_path, machine):
    with pytest.raises(ServiceFailed, match=r"PUBSUB_EMULATOR_HOST=127.0.0.1:9 does not respond"):
        start_pubsub(processes, tmp_path, machine() | {"PUBSUB_EMULATOR_HOST": "127.0.0.1:9"})


def test_the_storage_emulator_holds_the_bucket_and_its_objects_as_files(processes, tmp_path):
    address = start_storage(processes, tmp_path, os.environ)

    assert responds(f"{address}/storage/v1/b/ridecast-models")
    upload = f"{address}/upload/storage/v1/b/ridecast-models/o?uploadType=media&name=folder/MLmodel"
    assert requests.post(upload, b"flavors: {}", timeout=10).ok
    assert object_path(tmp_path, "gs://ridecast-models/folder/MLmodel").read_bytes() == b"flavors: {}"
