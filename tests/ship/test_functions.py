"""The functions' source archive contains the files that they import and read, and no others."""

import ast
import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from jobs.local.processes import ProcessGroup, responds
from jobs.packaging.manifest import list_files

PROJECT_ROOT = Path(__file__).parents[2]
RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
EVENT = base64.b64encode(json.dumps({"ride": RIDE, "ride_id": 256}).encode()).decode()
PATHS = {"predict": "/predict", "predict_event": "/"}
BODIES = {"predict": RIDE, "predict_event": {"message": {"data": EVENT}, "subscription": "s"}}


def required_files() -> set[str]:
    """The modules imported from main.py on, also inside functions, and the data files beside them."""
    files, pending = {"requirements.txt"}, ["main"]
    while pending:
        module = pending.pop()
        path = Path(*module.split(".")).with_suffix(".py")
        if not (PROJECT_ROOT / path).is_file():
            path = Path(*module.split("."), "__init__.py")
        if str(path) in files or not (PROJECT_ROOT / path).is_file():
            continue
        files.add(str(path))
        for node in ast.walk(ast.parse((PROJECT_ROOT / path).read_text())):
            if isinstance(node, ast.Import):
                pending += [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                pending += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "with_name":
                files.add(str(path.with_name(ast.literal_eval(node.args[0]))))
    return files


def test_the_archive_has_the_required_files() -> None:
    assert "functions/sklearn_model.py" in required_files(), "imported for such a model"
    assert "functions/zones.csv" in required_files()
    assert set(list_files(".gcloudignore", PROJECT_ROOT)) == required_files()


@pytest.mark.skipif(not shutil.which("gcloud"), reason="needs gcloud to list what it would upload")
def test_gcloud_uploads_the_required_files(tmp_path: Path) -> None:
    """From a folder that also contains files that must not be uploaded."""
    for name in (".gcloudignore", "Makefile", "README.md", "requirements-dev.txt", *required_files()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_ROOT / name, tmp_path / name)
    for name in (
        *("functions/__pycache__/app.cpython-313.pyc", "functions/notes.md", "functions/data/model.onnx"),
        *("jobs/main.py", "tests/main.py", "docs/functions/main.py", "infra/terraform.tfstate", ".env"),
        *("functions/.env", "functions/other.csv", "functions/key.json", ".venv/main.py", "main.pyc"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("not part of a function")
    process = subprocess.run(
        ["gcloud", "meta", "list-files-for-upload", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"CLOUDSDK_CONFIG": str(tmp_path / ".config")},
    )
    assert set(process.stdout.split()) == required_files()


@pytest.mark.parametrize("target", ["predict", "predict_event"])
def test_the_archive_is_sufficient(
    target: str, tmp_path: Path, onnx_folder: Path, plain_environment: dict[str, str]
) -> None:
    """A copy serves predictions, with this environment's packages, of which requirements.txt is a subset."""
    source = tmp_path / "source"
    for name in list_files(".gcloudignore", PROJECT_ROOT):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_ROOT / name, source / name)
    settings = plain_environment | {
        "MODEL_URI": str(onnx_folder),
        "PREDICTIONS_TOPIC": str(tmp_path / "predictions"),
        "DEAD_LETTER_TOPIC": str(tmp_path / "dead"),
    }
    framework = str(Path(sys.executable).with_name("functions-framework"))
    programs = ProcessGroup(tmp_path)
    try:
        port = programs.start_on_free_port(
            target,
            lambda port: [
                *(framework, f"--source={source / 'main.py'}", f"--target={target}"),
                *("--host=127.0.0.1", f"--port={port}"),
            ],
            settings,
            lambda port: responds(f"http://127.0.0.1:{port}/health"),
            60,
        )
        response = requests.post(f"http://127.0.0.1:{port}{PATHS[target]}", json=BODIES[target], timeout=30)
    finally:
        programs.close()
    assert response.status_code == 200, response.text
    if target == "predict":
        prediction = response.json()
        assert (prediction["duration"] > 0, prediction["model_version"]) == (True, "onnx")
    else:
        (line,) = (tmp_path / "predictions").read_text().splitlines()
        data = json.loads(line)["data"]
        assert (data["prediction"]["ride_duration"] > 0, data["version"]) == (True, "onnx")
