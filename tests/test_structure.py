"""What imports do not show: where the environment is read, and that pinned versions agree."""

import re
from pathlib import Path

FUNCTIONS = [Path("main.py"), *(path for path in Path("functions").glob("*.py") if path.stem != "__init__")]


def test_the_environment_is_read_in_one_place() -> None:
    reads = re.compile(r"os\.environ(?! \|=)|getenv")
    readers = {path.name for path in FUNCTIONS if reads.search(path.read_text())}
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
