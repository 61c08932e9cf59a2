"""The README's blocks, run as a person would paste them, from top to bottom in one shell."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

from jobs.city import write_month
from jobs.local.processes import free_port

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```(sh|json)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
SECONDS = 240


def script(ports: dict[str, int]) -> str:
    """The shell blocks but `make run`, with free ports, and each answer on a line of its own."""
    lines = []
    for kind, block in BLOCKS:
        for line in block.splitlines() if kind == "sh" else []:
            line = re.sub(r"\b(8080|8081)\b", lambda port: str(ports[port[0]]), line)  # noqa: PLW2901
            lines.append(line)
            if line.startswith("curl"):
                lines.append("echo")
    return "\n".join(line for line in lines if line != "make run").replace("localhost:", "127.0.0.1:")


def test_the_blocks_do_what_they_say(tmp_path: Path) -> None:
    for name in ("main.py", "functions", "jobs"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    (tmp_path / ".cache").mkdir()
    write_month(date(2021, 1, 1), tmp_path / "green_tripdata_2021-01.parquet", 6000)

    with (tmp_path / "out").open("wb") as stdout, (tmp_path / "err").open("wb") as stderr:
        bash = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script({"8080": free_port(), "8081": free_port()})],
            cwd=tmp_path,
            env={
                name: text for name, text in os.environ.items() if not name.startswith(("MODEL_", "MLFLOW_"))
            },
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        code = bash.wait(SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(bash.pid, signal.SIGTERM)
    out = (tmp_path / "out").read_text()
    assert code == 0, out + (tmp_path / "err").read_text()

    answers = [
        json.loads(line) for line in out.splitlines() if line.startswith("{") and "severity" not in line
    ]
    (promised,) = [json.loads(block) for kind, block in BLOCKS if kind == "json"]
    over_http, event = answers
    assert set(over_http) == set(promised)
    assert over_http["model_version"] == promised["model_version"]
    assert over_http["duration"] == event["data"]["prediction"]["ride_duration"]
    assert event["data"]["prediction"]["ride_id"] == 256


def test_every_setting_of_the_functions_is_in_the_readme() -> None:
    source = (ROOT / "functions" / "settings.py").read_text()
    read = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', source))
    assert {"MODEL_URI", "MAX_BODY_BYTES"} <= read
    readme = (ROOT / "README.md").read_text()
    assert {name for name in read if f"`{name}`" not in readme} == set()
