"""However `make run` and `make up` end, nothing is left behind, and only what failed is blamed."""

import signal
import time

import pytest


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        # A signal while everything is up is tested with `up`.
        ("✓ Storage emulator", signal.SIGHUP),
        ("▸ ", signal.SIGTERM),
    ],
    ids=["while services start", "while a command runs"],
)
def test_a_signal_at_any_moment_leaves_nothing_behind_and_blames_nobody(start, trips, moment, number):
    local = start("run", TRIPS=trips, RIDES="2000", RATE="50")
    local.wait_for(moment)
    time.sleep(1)

    assert local.end(number) == 128 + number
    assert local.left_behind() == []
    last_line = local.output.splitlines()[-1]
    assert last_line == f"Stopped by {number.name}; everything that was started has ended."
    assert "✗" not in local.output
    assert "gcloud components install" not in local.output


def test_what_was_started_ends_with_a_process_that_is_killed(start, trips):
    local = start("up", TRIPS=trips)
    local.wait_for("✓ Storage emulator")
    assert local.left_behind()

    local.kill()

    deadline = time.monotonic() + 30
    while local.left_behind():
        assert time.monotonic() < deadline, local.left_behind()
        time.sleep(0.1)


def test_a_service_that_fails_is_named_and_leaves_nothing_behind(start, trips):
    local = start("run", TRIPS=trips, PUBSUB_EMULATOR_HOST="127.0.0.1:9")

    assert local.end() == 1
    assert "Failed: Pub/Sub emulator PUBSUB_EMULATOR_HOST=127.0.0.1:9 does not respond" in local.output
    assert local.output.count("✗") == 1, local.output
    assert local.left_behind() == []
