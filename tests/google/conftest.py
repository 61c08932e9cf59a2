"""What a deployment gives to functions in Google's environment."""

import pytest

from jobs.local.processes import ProcessGroup
from tests.google.environment import GoogleEnvironment


@pytest.fixture(scope="session")
def google(programs: ProcessGroup, tmp_path_factory: pytest.TempPathFactory) -> GoogleEnvironment:
    return GoogleEnvironment(programs, tmp_path_factory.mktemp("google"))


@pytest.fixture
def settings(event_settings: dict[str, str]) -> dict[str, str]:
    """What a deployment sets; the topics are files."""
    return event_settings | {"GOOGLE_CLOUD_PROJECT": "ridecast-dev"}
