"""Structured logs: one JSON object per line on stdout, in Cloud Logging's format.

Use the logging module everywhere, with `extra=fields(ride_id=…)`. Never log request bodies or secrets.
"""

import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import msgspec

# All zeros are the W3C's code for an invalid id.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")
_CLOUD_TRACE = re.compile(r"([0-9a-fA-F]{32})(?:/(\d{1,20}))?(?:;.*)?", re.ASCII)

logger = logging.getLogger("ridecast")


class Trace(msgspec.Struct, frozen=True):
    """The position of a request in a distributed trace."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits, or empty."""
    traceparent: str = ""
    """The W3C header as received, to be passed on with messages; empty if another header named the trace."""


_trace: ContextVar[Trace | None] = ContextVar("trace", default=None)


def read_trace(headers: Mapping[str, str]) -> Trace | None:
    """The trace from `traceparent` (W3C), else from `X-Cloud-Trace-Context` (Google), if any."""
    if found := _TRACEPARENT.fullmatch(headers.get("traceparent", "")):
        return Trace(found[1], found[2], found[0])
    if found := _CLOUD_TRACE.fullmatch(headers.get("x-cloud-trace-context", "")):
        return Trace(found[1].lower(), f"{int(found[2]):016x}"[-16:] if found[2] else "")
    return None


def set_trace(trace: Trace | None) -> None:
    """Adds the trace to everything that the current request logs from now on."""
    _trace.set(trace)


def fields(**values: Any) -> dict[str, dict[str, Any]]:
    """Additional fields of a log line: `logger.info("…", extra=fields(ride_id=1))`."""
    return {"fields": values}


class CloudFormatter(logging.Formatter):
    """Formats log records as JSON for Cloud Logging."""

    def __init__(self, project: str) -> None:
        super().__init__()
        self._project = project

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"severity": record.levelname, "message": record.getMessage()}
        if record.exc_info:
            line["message"] += "\n" + self.formatException(record.exc_info)
        if trace := _trace.get():
            prefix = f"projects/{self._project}/traces/" if self._project else ""
            line["logging.googleapis.com/trace"] = prefix + trace.trace_id
            if trace.span_id:
                line["logging.googleapis.com/spanId"] = trace.span_id
        line.update(getattr(record, "fields", {}))
        return msgspec.json.encode(line, enc_hook=str).decode()


def configure(level: str = "INFO", project: str = "") -> None:
    """Sends this process's logs to stdout; each call replaces the previous configuration."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(CloudFormatter(project))
    logger.handlers = [handler]
    logger.propagate = False
    # logging.config.dictConfig, as functions-framework calls it, disables all existing loggers.
    logger.disabled = False
    logger.setLevel(level)
