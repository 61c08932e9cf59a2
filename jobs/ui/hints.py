"""Commands and paths for people to paste: as a shell in this process's working directory takes them."""

import shlex
import shutil
import sys
from pathlib import Path


def job_command(arguments: str = "") -> str:
    """A command of `jobs` as it works when pasted: `.venv/bin/python -m jobs train`.

    After `source .venv/bin/activate` it is `python -m jobs train`.

    Args:
        arguments: the command and its options, quoted for a shell.
    """
    return f"{python_command()} -m jobs {arguments}".rstrip()


def python_command() -> str:
    """How a shell calls the interpreter of this process, quoted."""
    if not sys.executable:  # embedded in another program
        return "python"
    folder = Path(sys.executable).parent
    on_path = shutil.which("python")
    # Not resolved: the interpreter of a virtual environment is a link to the system's, without the packages.
    if on_path and Path(on_path).absolute().parent == folder:
        return "python"
    return shlex.quote(short_path(sys.executable))


def short_path(path: str | Path) -> str:
    """A path below the working directory relative to that; anything else, a URI say, unchanged."""
    given = Path(path)
    return str(given.relative_to(Path.cwd())) if given.is_relative_to(Path.cwd()) else str(path)
