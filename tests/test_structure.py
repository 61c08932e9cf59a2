"""Imports point one way: entry → app → use → wire → core, and from jobs/ to functions/, never back."""

import ast
import re
from pathlib import Path

import pytest

LAYERS: tuple[tuple[str, ...], ...] = (
    ("main",),
    ("functions.app",),
    ("functions.push", "functions.web"),
    (
        "functions.stream",
        "functions.responses",
        "functions.identity",
        "functions.admission",
        "functions.bodies",
    ),
    ("functions.batching", "functions.predictor"),
    ("functions.model", "functions.registry"),
    ("functions.onnx_model", "functions.sklearn_model"),
    ("functions.mlmodel",),
    ("functions.artifacts", "functions.dialects", "functions.events", "functions.publisher"),
    ("functions.lines", "functions.pubsub"),
    (
        "functions.features",
        "functions.memory",
        "functions.messages",
        "functions.releases",
        "functions.settings",
        "functions.telemetry",
    ),
    ("functions.documents", "functions.rides", "functions.zones"),
    ("functions.errors",),
)
"""From the door inwards; a module imports from layers below its own only."""
FLOOR = {module: floor for floor, layer in enumerate(LAYERS) for module in layer}
CORE = {"functions.errors", "functions.rides", "functions.zones", "functions.features", "functions.releases"}


def imports(path: Path) -> set[str]:
    """Modules that a file imports, also inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{path}: relative import"
            found.add(node.module)
            found |= {f"{node.module}.{name.name}" for name in node.names} & set(FLOOR)
    return found


def module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


FUNCTIONS = [Path("main.py"), *(path for path in Path("functions").glob("*.py") if path.stem != "__init__")]


def test_every_module_of_the_functions_has_a_layer() -> None:
    assert {module(path) for path in FUNCTIONS} == set(FLOOR)


@pytest.mark.parametrize("path", FUNCTIONS, ids=str)
def test_imports_point_inwards(path: Path) -> None:
    for name in imports(path) & set(FLOOR):
        assert FLOOR[name] > FLOOR[module(path)], f"{path} imports {name}"


@pytest.mark.parametrize("path", FUNCTIONS, ids=str)
def test_functions_never_import_jobs_or_training_libraries(path: Path) -> None:
    forbidden = {"jobs", "mlflow", "matplotlib", "rich", "click"}
    assert not {name.partition(".")[0] for name in imports(path)} & forbidden


@pytest.mark.parametrize("name", sorted(CORE))
def test_the_core_knows_no_input_and_no_output(name: str) -> None:
    path = Path(*name.split(".")).with_suffix(".py")
    libraries = {each.partition(".")[0] for each in imports(path)}
    assert not libraries & {"google", "starlette", "functions_framework", "onnxruntime", "urllib", "asyncio"}


def test_the_environment_is_read_in_one_place() -> None:
    readers = {
        path.name for path in FUNCTIONS if "os.environ" in path.read_text() or "getenv" in path.read_text()
    }
    assert readers == {"app.py"}, "app.py hands it to settings.py, the one reader"


def test_pinned_versions_follow_pyproject() -> None:
    import tomllib

    groups = tomllib.loads(Path("pyproject.toml").read_text())["dependency-groups"]
    lines = {line for group in groups.values() for line in group if isinstance(line, str)}
    exact = {re.sub(r"\[.*\]", "", line) for line in lines if "==" in line}
    pinned = set(Path("requirements-dev.txt").read_text().splitlines())
    assert exact <= pinned
    serve = Path("requirements.txt").read_text().splitlines()
    assert set(serve) <= pinned, "what is served is what is tested"
