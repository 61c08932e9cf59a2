import pytest

from jobs.local.processes import ProcessGroup


@pytest.fixture
def processes(tmp_path):
    """Processes that log to `tmp_path`, and end with the test."""
    processes = ProcessGroup(tmp_path)
    yield processes
    processes.close()
