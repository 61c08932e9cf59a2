"""What a deployment gives to functions in Google's environment."""

from pathlib import Path

import pytest

from jobs.local.processes import ProcessGroup
from tests.google.environment import GoogleEnvironment


@pytest.fixture(scope="session")
def google(programs: ProcessGroup, tmp_path_factory: pytest.TempPathFactory) -> GoogleEnvironment:
    return GoogleEnvironment(programs, tmp_path_factory.mktemp("google"))


@pytest.fixture
def settings(onnx_folder: Path, tmp_path: Path) -> dict[str, str]:
    """What a deployment sets; the topics are files."""
    return {
        "MODEL_URI": str(onnx_folder),
        "PREDICTIONS_TOPIC": str(tmp_path / "predictions"),
        "DEAD_LETTER_TOPIC": str(tmp_path / "dead"),
        "GOOGLE_CLOUD_PROJECT": "ridecast-dev",
        "LOG_LEVEL": "INFO",
    }
