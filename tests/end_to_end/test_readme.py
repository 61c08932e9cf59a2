"""The README's blocks do what they say."""

import json
import re
from datetime import date
from pathlib import Path

from jobs.local.processes import Programs
from jobs.trips.synthetic import write_month
from tests.blocks import ROOT, blocks_of, checkout, paste, script_of


def test_the_blocks_do_what_they_say(
    programs: Programs, plain_environment: dict[str, str], tmp_path: Path
) -> None:
    blocks = blocks_of("README.md")
    write_month(date(2021, 1, 1), tmp_path / "green_tripdata_2021-01.parquet", 6000)
    script = script_of(blocks, ("8080", "8081"), without=("make run", "make retrain"))
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
