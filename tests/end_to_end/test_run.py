"""Runs `make run`, `make up` and `make retrain` as a user does, and checks that nothing is left behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from datetime import date
from pathlib import Path

import pytest

from jobs.trips.synthetic import write_month

PROJECT_ROOT = Path(__file__).parents[2]
RIDES = 40


@pytest.fixture(scope="module")
def trips(tmp_path_factory):
    """Two small months, in the form of TRIPS."""
    folder = tmp_path_factory.mktemp("trips")
    months = [folder / "january.parquet", folder / "february.parquet"]
    for number, path in enumerate(months, start=1):
        write_month(date(2021, number, 1), path, rides=6_000)
    return " ".join(map(str, months))


@pytest.fixture
def start(tmp_path):
    """Starts `python -m jobs local …` in its own process group, and stops it after the test."""
    started = []

    def start(*arguments, **variables):
        local = LocalCommand(arguments, tmp_path / "temporary", variables)
        started.append(local)
        return local

    yield start
    for local in started:
        local.end(signal.SIGINT)


class LocalCommand:
    """A running `python -m jobs local …`, its output, and what it leaves behind."""

    def __init__(self, arguments, temporary, variables):
        self.output = ""
        self._temporary = temporary
        temporary.mkdir(exist_ok=True)
        self._marker = uuid.uuid4().hex
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("TRIPS", "RIDES", "RATE", "PICTURE", "PUBSUB_EMULATOR_HOST")
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jobs", "local", *arguments],
            cwd=PROJECT_ROOT,
            env=inherited | {"TMPDIR": str(temporary), "RIDECAST_TEST": self._marker} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.output += line.decode()

    def wait_for(self, text, seconds=500):
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert self._process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def end(self, number=None):
        """Waits for the end, after a signal to the whole group if one is given; returns the exit code."""
        if number and self._process.poll() is None:
            os.killpg(self._process.pid, number)
        code = self._process.wait(700)
        self._reader.join()
        self._process.stdout.close()
        return code

    def left_behind(self):
        """Returns files and running processes, children and grandchildren, that are still there."""
        files = [str(path) for path in self._temporary.iterdir()]
        return files + [
            _command(process) for process in Path("/proc").glob("[0-9]*") if self._has_marker(process)
        ]

    def _has_marker(self, process):
        try:
            return self._marker.encode() in (process / "environ").read_bytes()
        except OSError:
            return False


def _command(process):
    return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_rides_become_predictions_through_the_whole_cloud(start, trips, tmp_path):
    picture = tmp_path / "run.svg"
    local = start("run", "--picture", str(picture), TRIPS=trips, RIDES=str(RIDES))

    assert local.end() == 0, local.output
    assert f"{RIDES} in, {RIDES} predicted, 0 dead-lettered, 0 lost" in local.output
    assert f"{RIDES} sent, {RIDES} answered, {RIDES} bit-identical" in local.output
    assert re.search(r"[\d.]+ min RMSE on [\d,]+ held-out rides, [\d.]+ without", local.output)
    assert re.search(r"latency +p50 [\d.]+ ms, p99 [\d.]+ ms", local.output)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", local.output), "control characters without a terminal"
    assert picture.read_text().startswith("<svg")
    assert local.left_behind() == []


def test_a_new_champion_takes_over_while_rides_stream_on(start, tmp_path):
    picture = tmp_path / "retrain.png"
    local = start("retrain", "--picture", str(picture))

    assert local.end() == 0, local.output
    assert "actual_duration" in local.output, "the report names what has drifted"
    assert re.search(r"events +(\d+) in \d+ s, \1 predicted, 0 lost", local.output)
    assert "1 → 2, 1 change of version in the stream" in local.output
    assert re.search(r"flow +report [\d.]+ s, train [\d.]+ s, promote [\d.]+ s", local.output)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert local.left_behind() == []


def test_without_an_emulator_it_says_how_to_install_one_and_still_works(start, trips, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sh").symlink_to(shutil.which("sh"))
    local = start("run", TRIPS=trips, RIDES=str(RIDES), PATH=str(tools))

    assert local.end() == 0, local.output
    assert "gcloud components install pubsub-emulator beta" in local.output
    assert f"{RIDES} in, {RIDES} predicted, 0 dead-lettered, 0 lost" in local.output
    assert local.left_behind() == []


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        # A signal while everything is up is tested with `up` below.
        ("✓ Storage emulator", signal.SIGHUP),
        ("▸ python -m jobs train", signal.SIGTERM),
    ],
)
def test_a_signal_at_any_moment_leaves_nothing_behind(start, trips, moment, number):
    local = start("run", TRIPS=trips, RIDES="2000", RATE="50")
    local.wait_for(moment)
    time.sleep(1)

    assert local.end(number) == 128 + number
    assert local.left_behind() == []
    assert f"Stopped by {number.name}" in local.output


def test_a_service_that_fails_is_named_and_leaves_nothing_behind(start, trips):
    local = start("run", TRIPS=trips, PUBSUB_EMULATOR_HOST="127.0.0.1:9")

    assert local.end() == 1
    assert "Failed: Pub/Sub emulator PUBSUB_EMULATOR_HOST=127.0.0.1:9 does not respond" in local.output
    assert local.left_behind() == []


def test_up_stays_and_its_commands_work_as_they_are_printed(start, trips):
    local = start("up", TRIPS=trips)
    local.wait_for("# list dead letters")
    time.sleep(0.5)
    exports = "\n".join(re.findall(r"^export .*$", local.output, re.MULTILINE))
    commands = re.findall(r"^# .*\n(.*)$", local.output, re.MULTILINE)
    assert len(commands) == 7

    answers = [
        subprocess.run(
            ["bash", "-c", f"{exports}\n{command}"],
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for command in commands
    ]

    over_http = re.fullmatch(r'\{"duration":([\d.]+),"model_version":"1"\}', answers[0].strip())
    as_event = re.search(r'"ride_duration":([\d.]+)', answers[1])
    assert over_http[1] == as_event[1]
    assert len(answers[2].splitlines()) == 20
    assert "20 rides" in answers[3] + answers[4]
    assert answers[5].splitlines()[-1].strip() == "equal to the last bit"
    assert answers[6] == "There are no dead letters\n"
    assert local.end(signal.SIGINT) == 0
    assert local.left_behind() == []
