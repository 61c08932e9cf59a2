"""checkov finds nothing but what infra/.checkov.yaml excuses, each with its reason."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.infra.module import INFRA, copy_to

VERSION = "3.3.30"
UV = Path(".venv/bin/uv")
HOME = Path(f".cache/checkov-{VERSION}")
"""An environment of its own: its dependencies do not agree with ours."""
EXCUSED = re.compile(r"^  - (CKV\w*_GCP_\d+) +# \S.{9,}$", re.MULTILINE)


@pytest.fixture(scope="module")
def checkov() -> Path:
    program = HOME / "bin" / "checkov"
    if not program.exists():
        if not UV.exists():
            pytest.skip("needs uv in .venv to install checkov: run `make install`")
        for words in (
            ["venv", "-q", HOME],
            ["pip", "install", "-q", "--python", HOME, f"checkov=={VERSION}"],
        ):
            done = subprocess.run([UV, *words], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"needs checkov {VERSION}, which cannot be installed: {done.stderr}")
    return program


def test_nothing_is_found_that_is_not_excused(checkov: Path, tmp_path: Path) -> None:
    folder = copy_to(tmp_path / "infra")
    (folder / ".checkov.yaml").unlink()
    done = subprocess.run(
        [
            checkov.absolute(),
            "-d",
            folder,
            "--framework",
            "terraform",
            "-o",
            "json",
            "--skip-download",
            "--quiet",
        ],
        env={name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
        | {"LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    report = json.loads(done.stdout)
    found = {each["check_id"] for each in report["results"]["failed_checks"]}
    excused = set(EXCUSED.findall((INFRA / ".checkov.yaml").read_text()))
    assert found == excused, "what is excused is found, and nothing else"
    assert report["summary"]["passed"] > 30
    assert report["summary"]["parsing_errors"] == 0


def test_each_excuse_has_a_reason() -> None:
    text = (INFRA / ".checkov.yaml").read_text()
    assert len(EXCUSED.findall(text)) == text.count("  - ")
