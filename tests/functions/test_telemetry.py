import json
import logging
import logging.config

import pytest

from functions import telemetry
from functions.telemetry import Trace, fields, logger, read_trace, set_trace

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ({"traceparent": PARENT}, Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", PARENT)),
        (
            {"x-cloud-trace-context": "0AF7651916CD43DD8448EB211C80319C/17;o=1"},
            Trace("0af7651916cd43dd8448eb211c80319c", "0000000000000011"),
        ),
        (
            {"x-cloud-trace-context": "0af7651916cd43dd8448eb211c80319c"},
            Trace("0af7651916cd43dd8448eb211c80319c", ""),
        ),
        (
            {"traceparent": "broken", "x-cloud-trace-context": "0af7651916cd43dd8448eb211c80319c/1"},
            Trace("0af7651916cd43dd8448eb211c80319c", "0000000000000001"),
        ),
        ({"traceparent": PARENT + "\n{}"}, None),
        ({"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"}, None),
        ({}, None),
    ],
)
def test_which_trace_is_read_from_the_headers(headers: dict[str, str], trace: Trace | None) -> None:
    assert read_trace(headers) == trace


def read_log_line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    line: dict[str, object] = json.loads(capsys.readouterr().out)
    return line


def test_a_log_line_is_in_cloud_loggings_format(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure("INFO", "my-project")
    set_trace(read_trace({"traceparent": PARENT}))
    logger.info("prediction", extra=fields(ride_id=256, latency_ms=1.25))
    set_trace(None)
    assert read_log_line(capsys) == {
        "severity": "INFO",
        "message": "prediction",
        "logging.googleapis.com/trace": "projects/my-project/traces/0af7651916cd43dd8448eb211c80319c",
        "logging.googleapis.com/spanId": "b7ad6b7169203331",
        "ride_id": 256,
        "latency_ms": 1.25,
    }


def test_an_exception_is_logged_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure()
    try:
        raise RuntimeError("bug")
    except RuntimeError:
        logger.exception("it failed")
    line = read_log_line(capsys)
    assert line["severity"] == "ERROR"
    assert "RuntimeError: bug" in str(line["message"])


def test_messages_below_the_level_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure("WARNING")
    logger.info("prediction")
    assert capsys.readouterr().out == ""
    assert logger.level == logging.WARNING


def test_a_library_that_configures_logging_does_not_silence_the_functions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logging.config.dictConfig({"version": 1})  # disables all existing loggers
    telemetry.configure()
    logger.info("still here")
    assert json.loads(capsys.readouterr().out)["message"] == "still here"
