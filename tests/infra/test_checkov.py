"""checkov reports only the policies that infra/.checkov.yaml skips, each with a reason."""

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
"""A virtual environment of its own, because its dependencies conflict with ours."""
SKIPPED = re.compile(r"^  - (CKV\w*_GCP_\d+) +# \S.{9,}$", re.MULTILINE)


@pytest.fixture(scope="module")
def checkov() -> Path:
    program = HOME / "bin" / "checkov"
    if not program.exists():
        if not UV.exists():
            pytest.skip("needs uv in .venv to install checkov: run `make install`")
        for args in (
            ["venv", "-q", HOME],
            ["pip", "install", "-q", "--python", HOME, f"checkov=={VERSION}"],
        ):
            process = subprocess.run([UV, *args], capture_output=True, text=True, check=False)
            if process.returncode:
                pytest.skip(f"needs checkov {VERSION}, which cannot be installed: {process.stderr}")
    return program


def test_checkov_finds_only_skipped_policies(checkov: Path, tmp_path: Path) -> None:
    folder = copy_to(tmp_path / "infra")
    (folder / ".checkov.yaml").unlink()
    process = subprocess.run(
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
    report = json.loads(process.stdout)
    found = {each["check_id"] for each in report["results"]["failed_checks"]}
    skipped = set(SKIPPED.findall((INFRA / ".checkov.yaml").read_text()))
    assert found == skipped, "each skipped policy is violated, and no other"
    assert report["summary"]["passed"] > 30
    assert report["summary"]["parsing_errors"] == 0


def test_each_skipped_policy_has_a_reason() -> None:
    text = (INFRA / ".checkov.yaml").read_text()
    assert len(SKIPPED.findall(text)) == text.count("  - ")
