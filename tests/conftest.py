"""What several suites need: models, months of real trips, events as they were recorded."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.telemetry import logger
from tests.models import save_course, save_onnx, save_sklearn

EVENTS = Path(__file__).parent / "events"
pytest_plugins = ["tests.cloud", "tests.scheduling"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="tests/faults in full: every row, 100,000 inputs, 10 minutes of load",
    )


@pytest.fixture(autouse=True)
def _garbage_as_it_was() -> Iterator[None]:
    """A function puts all objects aside when it has its model; here others come after it."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.fixture(autouse=True)
def _logs_are_written() -> None:
    """MLflow's migration of a database configures logging, which disables all existing loggers."""
    logger.disabled = False


@pytest.fixture(autouse=True, scope="module")
def _mlflow_as_it_was() -> Iterator[None]:
    """MLflow remembers its server and experiment for the whole process; other modules have their own."""
    yield
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
        mlflow.tracking.fluent._active_experiment_id = None
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID"):
            os.environ.pop(name, None)


@pytest.fixture(scope="session")
def onnx_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_onnx(tmp_path_factory.mktemp("models") / "onnx")


@pytest.fixture(scope="session")
def other_onnx_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five minutes more for every ride than `onnx_folder`."""
    return save_onnx(tmp_path_factory.mktemp("models") / "other", offset=5.0)


@pytest.fixture(scope="session")
def skops_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sklearn(tmp_path_factory.mktemp("models") / "skops", "skops")


@pytest.fixture(scope="session")
def pickle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sklearn(tmp_path_factory.mktemp("models") / "pickle", "cloudpickle")


@pytest.fixture(scope="session")
def course_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_course(tmp_path_factory.mktemp("models") / "course", "skops")


@pytest.fixture
def event_settings(onnx_folder: Path, tmp_path: Path) -> dict[str, str]:
    """What `predict_event` is told; its topics are files."""
    return {
        "MODEL_URI": str(onnx_folder),
        "PREDICTIONS_TOPIC": str(tmp_path / "predictions"),
        "DEAD_LETTER_TOPIC": str(tmp_path / "dead"),
    }


def find_real_months() -> dict[str, Path]:
    """TLC's green months beside the checkout by `YYYY-MM`; none on most machines."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    return {path.stem.rpartition("_")[2]: path for path in sorted(folder.glob("green_tripdata_*.parquet"))}


@pytest.fixture(scope="session")
def real_months() -> dict[str, Path]:
    found = find_real_months()
    if not {"2021-01", "2021-02", "2021-03"} <= set(found):
        pytest.skip("needs TLC's green months 2021-01 to 2021-03 in ../shared/data")
    return found
