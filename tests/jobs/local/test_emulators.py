import os
import sys

import pytest

from jobs.local.emulators import (
    INSTALL_PUBSUB,
    PUBSUB_IMAGE,
    NoPubSub,
    PubSub,
    start_pubsub,
    start_storage,
)
from jobs.local.processes import PartFailed, Programs, answers

SERVE = f"exec {sys.executable} -m http.server --bind=127.0.0.1"


@pytest.fixture
def programs(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    programs = Programs(logs)
    yield programs
    programs.close()


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


def test_without_gcloud_and_docker_there_is_none_and_it_says_so(programs, tmp_path, machine):
    found = start_pubsub(programs, tmp_path, machine())

    assert isinstance(found, NoPubSub)
    assert "gcloud with its Pub/Sub emulator is not installed" in found.why
    assert INSTALL_PUBSUB.startswith("gcloud components install")


def test_gcloud_without_its_emulator_is_not_asked_since_it_would_install_it(programs, tmp_path, machine):
    environment = machine(gcloud=f"touch {tmp_path}/asked")

    assert isinstance(start_pubsub(programs, tmp_path, environment), NoPubSub)
    assert not (tmp_path / "asked").exists()


def test_gcloud_is_used_if_it_has_the_emulator(programs, tmp_path, machine):
    # gcloud's words: beta emulators pubsub start --quiet --host-port=127.0.0.1:PORT …
    environment = machine(
        gcloud=f'echo "$CLOUDSDK_CONFIG" > {tmp_path}/config; port=${{6##*:}}; {SERVE} $port'
    )
    (tmp_path / "sdk" / "platform" / "pubsub-emulator").mkdir(parents=True)

    found = start_pubsub(programs, tmp_path, environment)

    assert isinstance(found, PubSub)
    assert found.source == "gcloud"
    assert answers(f"http://{found.host}")
    configuration = (tmp_path / "config").read_text().strip()
    assert configuration == str(tmp_path / "gcloud"), "nothing may be left in a person's home"


def test_if_gcloud_fails_it_says_how(programs, tmp_path, machine):
    environment = machine(gcloud="echo No java executable found >&2; exit 1")
    (tmp_path / "sdk" / "platform" / "pubsub-emulator").mkdir(parents=True)

    found = start_pubsub(programs, tmp_path, environment)

    assert isinstance(found, NoPubSub)
    assert "No java executable found" in found.why


def test_docker_is_next_and_reaches_us_by_another_name(programs, tmp_path, machine):
    # docker's words: run --rm --init --publish=127.0.0.1:PORT:8085 …
    environment = machine(
        docker=f"""
        [ $1 = version ] && exit 0
        echo "$@" > {tmp_path}/words; rest=${{4#*:}}; {SERVE} ${{rest%:*}}
        """
    )

    found = start_pubsub(programs, tmp_path, environment)

    assert isinstance(found, PubSub)
    assert (found.source, found.reaches_us_at) == ("Google's image", "host.docker.internal")
    assert PUBSUB_IMAGE in (tmp_path / "words").read_text()


def test_docker_without_an_engine_is_none(programs, tmp_path, machine):
    found = start_pubsub(programs, tmp_path, machine(docker="exit 1"))

    assert isinstance(found, NoPubSub)


def test_an_emulator_that_is_named_comes_first(programs, tmp_path, machine):
    port = programs.start_on_free_port(
        "server",
        lambda port: [sys.executable, "-m", "http.server", "--bind=127.0.0.1", str(port)],
        os.environ,
        lambda port: answers(f"http://127.0.0.1:{port}"),
        20,
    )
    environment = machine() | {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{port}"}

    assert start_pubsub(programs, tmp_path, environment) == PubSub(
        f"127.0.0.1:{port}", "PUBSUB_EMULATOR_HOST"
    )


def test_an_emulator_that_is_named_must_answer(programs, tmp_path, machine):
    with pytest.raises(PartFailed, match=r"PUBSUB_EMULATOR_HOST=127.0.0.1:9 does not answer"):
        start_pubsub(programs, tmp_path, machine() | {"PUBSUB_EMULATOR_HOST": "127.0.0.1:9"})


def test_the_storage_emulator_holds_the_bucket(programs, tmp_path):
    address = start_storage(programs, tmp_path, os.environ)

    assert answers(f"{address}/storage/v1/b/ridecast-models")
