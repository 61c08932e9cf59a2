"""Sentences instead of tracebacks for a Python that cannot run the jobs.

Uses only what Python 3.8 has: macOS still comes with 3.9.
"""

import os
import shlex
import sys

PROJECT_ROOT = os.path.abspath(os.path.join(__file__, "../../.."))  # noqa: PTH100, PTH118
OLDEST_PYTHON = (3, 11)


def unsupported_reason() -> str:
    """Why neither this system nor this version of Python will do, and what to do; empty if they will."""
    if sys.platform == "win32":
        return (
            "Ridecast runs on Linux and macOS. On Windows, use WSL: run `wsl --install`, open its shell, "
            "and clone and install Ridecast there."
        )
    if sys.version_info < OLDEST_PYTHON:
        version = ".".join(map(str, sys.version_info[:3]))
        return f"Ridecast needs Python 3.11 or newer; {sys.executable} is {version}: {_remedy()}"
    return ""


def missing_package(error: ImportError) -> str:
    """Names the package or module that cannot be imported, and says what to do."""
    if error.name in sys.stdlib_module_names:
        return (
            f"{sys.executable} was built without Python's module {error.name}: install a complete Python, "
            "delete .venv, and run `make install PYTHON=/path/to/python3`"
        )
    return f"{sys.executable} does not have Ridecast's packages ({error}): {_remedy()}"


def _remedy() -> str:
    command = " ".join([".venv/bin/python -m jobs", *map(shlex.quote, sys.argv[1:])])
    environment = os.path.join(PROJECT_ROOT, ".venv")  # noqa: PTH118
    # The Makefile writes this file once everything is installed.
    installed = os.path.exists(os.path.join(environment, ".installed"))  # noqa: PTH110, PTH118
    if installed and not sys.executable.startswith(environment):
        return f"run `{command}`"
    return f"run `make install`, then `{command}`"
