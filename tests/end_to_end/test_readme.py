"""Every page's commands, pasted from top to bottom into a fresh clone; and what the README promises."""

import json
import re
import shutil
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jobs.local.processes import ProcessGroup, ServiceFailed
from jobs.trips.synthetic import write_month
from tests.blocks import DOCUMENTS, Block, blocks_of, checkout, paste, ports_of, runnable, script_of

MONTHS = (date(2021, 1, 1), date(2021, 2, 1), date(2021, 3, 1))
RIDES = 4000
README = "README.md"
CHURN = "examples/churn/README.md"
"""tests/examples/test_churn.py runs it, and more."""
PAGES = [each for each in DOCUMENTS if runnable(each) and each not in (README, CHURN)]
LONG = (
    *("docs/batch.md", "docs/beam.md", "docs/course.md", "docs/mlflow.md", "docs/monitoring.md"),
    "docs/own-model.md",
)
"""Pages that start servers or train models of their own, half a minute each: `make docs` runs them."""
SET_UP = runnable("docs/batch.md")[0]
"""Several pages begin with it. It does what the README's first blocks do, so their result is used."""
STOPPED = """
for second in $(seq 20); do
  [ -z "$(jobs -pr)" ] && exit
  sleep 1
done
echo "still running: $(jobs -r)" >&2
exit 1
"""
"""The end of each page, which has said how to stop everything that it started."""
TRAINED = ("trips", "mlflow.db", "models")
"""What the README's first blocks leave in .cache."""


class Clone:
    """A fresh clone in which pages are tried one after the other, each from the same state."""

    def __init__(self, folder: Path, programs: ProcessGroup, environment: dict[str, str]) -> None:
        self.folder = checkout(folder / "ridecast")
        self.cache = self.folder / ".cache"
        self._snapshot = folder / "snapshot"
        self._programs = programs
        # Whether TLC's website can be reached makes no difference: months are generated.
        offline = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost"}
        self._environment = environment | offline | {"HOME": str(folder / "home")}
        for month in MONTHS:
            write_month(month, self.cache / "trips" / f"green_tripdata_{month:%Y-%m}.parquet", RIDES)
        self.printed = self.run(runnable(README))
        """By the README's blocks."""
        self._snapshot.mkdir()
        for name in TRAINED:
            (self.cache / name).rename(self._snapshot / name)

    def run(self, blocks: list[Block]) -> str:
        """Runs a page's blocks: what they print. Checks that they leave nothing running and no litter."""
        before = set(self.folder.iterdir())
        printed = paste(self._programs, script_of(blocks) + STOPPED, self.folder, self._environment)
        assert set(self.folder.iterdir()) - before <= {self.folder / "__pycache__"}
        return printed

    def run_page(self, document: str) -> None:
        """Runs a page in a clone that has months of trips and, if the page begins with SET_UP, a champion."""
        first, *others = runnable(document)
        names = TRAINED if first == SET_UP else TRAINED[:1]
        if first == SET_UP:
            exports = [line for line in SET_UP.text.splitlines() if line.startswith("export ")]
            first = Block("sh", "\n".join(exports))
        shutil.rmtree(self.cache)
        self.cache.mkdir()
        for name in names:
            source = self._snapshot / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, self.cache / name)
        self.run([first, *others])


@pytest.fixture(scope="module")
def clone(
    programs: ProcessGroup, plain_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Clone:
    return Clone(tmp_path_factory.mktemp("clone"), programs, plain_environment)


def test_the_readme_does_what_it_says(clone: Clone) -> None:
    lines = [line for line in clone.printed.splitlines() if line.startswith("{") and "severity" not in line]
    over_http, *_, event = map(json.loads, lines)
    (promised,) = [json.loads(block.text) for block in blocks_of(README) if block.kind == "json"]
    assert set(over_http) == set(promised)
    assert over_http["model_version"] == promised["model_version"]
    assert over_http["duration"] == event["data"]["prediction"]["ride_duration"]
    assert event["data"]["prediction"]["ride_id"] == 256


@pytest.mark.parametrize("document", PAGES)
def test_a_page_does_what_it_says(request: pytest.FixtureRequest, clone: Clone, document: str) -> None:
    if document in LONG and not request.config.getoption("--full"):
        pytest.skip("only with --full: make docs")
    clone.run_page(document)


def test_set_up_does_what_the_readme_does() -> None:
    readme = "\n".join(block.text for block in runnable(README))
    assert not [line for line in SET_UP.text.splitlines() if "download" not in line and line not in readme]


SERVERS = [
    pytest.param(block, id=f"{document}:{min(ports_of(block))}")
    for document in DOCUMENTS
    for block in runnable(document)
    if re.search(r"--port[= ]\d", block.text)
]


@pytest.mark.parametrize("block", SERVERS)
def test_a_port_that_is_taken_ends_a_block_with_an_error(
    block: Block, tmp_path: Path, programs: ProcessGroup, plain_environment: dict[str, str]
) -> None:
    stranger = ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    threading.Thread(target=stranger.serve_forever, daemon=True).start()
    (tmp_path / ".cache").mkdir()
    try:
        with pytest.raises(ServiceFailed) as failure:
            paste(
                programs,
                script_of([block], stranger.server_port),
                tmp_path,
                {**plain_environment, "MODEL_BUCKET": "models"},
            )
    finally:
        stranger.shutdown()
        stranger.server_close()
    (said,) = failure.value.__notes__
    assert f"port {stranger.server_port} is taken" in said
    assert Stranger.ANSWER not in said


class Stranger(BaseHTTPRequestHandler):
    """Answers everything, as a function or a server that was left running would."""

    ANSWER = '{"duration": 0.0}'

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.ANSWER.encode())

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Is silent."""
