"""What is shipped as a function is what it imports and reads: nothing else, and it is enough."""

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

from jobs.local.processes import Programs, answers
from jobs.packaging.manifest import listed

PROJECT_ROOT = Path(__file__).parents[2]
RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
EVENT = base64.b64encode(json.dumps({"ride": RIDE, "ride_id": 256}).encode()).decode()
PATHS = {"predict": "/predict", "predict_event": "/"}
BODIES = {"predict": RIDE, "predict_event": {"message": {"data": EVENT}, "subscription": "s"}}


def needed() -> set[str]:
    """From main.py on: the modules that are imported, also within functions, and the files beside them."""
    files, left = {"requirements.txt"}, ["main"]
    while left:
        module = left.pop()
        path = Path(*module.split(".")).with_suffix(".py")
        if not (PROJECT_ROOT / path).is_file():
            path = Path(*module.split("."), "__init__.py")
        if str(path) in files or not (PROJECT_ROOT / path).is_file():
            continue
        files.add(str(path))
        for node in ast.walk(ast.parse((PROJECT_ROOT / path).read_text())):
            if isinstance(node, ast.Import):
                left += [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                left += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "with_name":
                files.add(str(path.with_name(ast.literal_eval(node.args[0]))))
    return files


def test_the_list_is_what_the_functions_import_and_read() -> None:
    assert "functions/sklearn_model.py" in needed(), "imported when there is such a model"
    assert "functions/zones.csv" in needed()
    assert set(listed(".gcloudignore", PROJECT_ROOT)) == needed()


@pytest.mark.skipif(not shutil.which("gcloud"), reason="needs gcloud, to ask what it would upload")
def test_gcloud_uploads_this_list(tmp_path: Path) -> None:
    """From a folder that is full of what may not go: the real files, and some that are easily forgotten."""
    for name in (".gcloudignore", "Makefile", "README.md", "requirements-dev.txt", *needed()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_ROOT / name, tmp_path / name)
    for name in (
        *("functions/__pycache__/app.cpython-313.pyc", "functions/notes.md", "functions/data/model.onnx"),
        *("jobs/main.py", "tests/main.py", "docs/functions/main.py", "infra/terraform.tfstate", ".env"),
        *("functions/.env", "functions/other.csv", "functions/key.json", ".venv/main.py", "main.pyc"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("no part of a function")
    done = subprocess.run(
        ["gcloud", "meta", "list-files-for-upload", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"CLOUDSDK_CONFIG": str(tmp_path / ".config")},
    )
    assert set(done.stdout.split()) == needed()


@pytest.mark.parametrize("target", ["predict", "predict_event"])
def test_these_files_are_enough(
    target: str, tmp_path: Path, onnx_folder: Path, plain_environment: dict[str, str]
) -> None:
    """A copy of them answers, with this environment's packages, which requirements.txt is a part of."""
    source = tmp_path / "source"
    for name in listed(".gcloudignore", PROJECT_ROOT):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_ROOT / name, source / name)
    settings = plain_environment | {
        "MODEL_URI": str(onnx_folder),
        "PREDICTIONS_TOPIC": str(tmp_path / "predictions"),
        "DEAD_LETTER_TOPIC": str(tmp_path / "dead"),
    }
    framework = str(Path(sys.executable).with_name("functions-framework"))
    programs = Programs(tmp_path)
    try:
        port = programs.start_on_free_port(
            target,
            lambda port: [
                *(framework, f"--source={source / 'main.py'}", f"--target={target}"),
                *("--host=127.0.0.1", f"--port={port}"),
            ],
            settings,
            lambda port: answers(f"http://127.0.0.1:{port}/health"),
            60,
        )
        answer = requests.post(f"http://127.0.0.1:{port}{PATHS[target]}", json=BODIES[target], timeout=30)
    finally:
        programs.close()
    assert answer.status_code == 200, answer.text
    if target == "predict":
        made = answer.json()
        assert (made["duration"] > 0, made["model_version"]) == (True, "onnx")
    else:
        (line,) = (tmp_path / "predictions").read_text().splitlines()
        made = json.loads(line)["data"]
        assert (made["prediction"]["ride_duration"] > 0, made["version"]) == (True, "onnx")
