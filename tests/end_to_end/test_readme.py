"""The README's commands do what it says, and it names every setting."""

import json
import re
from datetime import date
from pathlib import Path

from jobs.local.processes import ProcessGroup
from jobs.trips.synthetic import write_month
from tests.blocks import ROOT, Block, blocks_of, checkout, paste, script_of

ELSEWHERE = ("make run", "make install", "make retrain", "git clone ", "curl -fsO ")
"""Lines that other tests run, or that need a network."""


def shell_lines(blocks: list[Block]) -> list[str]:
    return [line for block in blocks if block.kind == "sh" for line in block.text.splitlines()]


def test_the_blocks_do_what_they_say(
    programs: ProcessGroup, plain_environment: dict[str, str], tmp_path: Path
) -> None:
    blocks = blocks_of("README.md")
    for month in (date(2021, 1, 1), date(2021, 2, 1)):
        write_month(month, tmp_path / f"green_tripdata_{month:%Y-%m}.parquet", 6000)
    others = [line for line in shell_lines(blocks) if line.startswith(ELSEWHERE)]
    assert len(others) == len(ELSEWHERE)
    script = script_of(blocks, ("8080", "8081"), without=tuple(others))
    out = paste(programs, script, checkout(tmp_path), plain_environment)

    answers = [
        json.loads(line) for line in out.splitlines() if line.startswith("{") and "severity" not in line
    ]
    (promised,) = [json.loads(block.text) for block in blocks if block.kind == "json"]
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
