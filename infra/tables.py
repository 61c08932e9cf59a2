"""python -m infra.tables: the tables of infra/README.md, from the configuration itself."""

import re
from collections.abc import Iterator
from pathlib import Path

from jobs.ui.markdown import fill_tables

HERE = Path(__file__).parent
_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}$', re.DOTALL | re.MULTILINE)
_DEFAULT = re.compile(r"^  default +=( .*)$", re.MULTILINE)


def tables() -> dict[str, str]:
    """Markdown by the place's name."""
    variables = ["| variable | | if not given |", "| --- | --- | --- |"]
    for name, text in _blocks("variables.tf"):
        variables.append(f"| `{name}` | {_description(text)} | {_default(text)} |")
    outputs = ["| output | |", "| --- | --- |"]
    for name, text in _blocks("outputs.tf"):
        outputs.append(f"| `{name}` | {_description(text)} |")
    return {"variables": "\n".join(variables) + "\n", "outputs": "\n".join(outputs) + "\n"}


def _blocks(file: str) -> Iterator[tuple[str, str]]:
    for _, name, text in _BLOCK.findall((HERE / file).read_text()):
        yield name, text


def _description(text: str) -> str:
    found = re.search(r'^  description = "(.*)"$', text, re.MULTILINE)
    assert found, text
    return found[1].replace("|", "\\|")


def _default(text: str) -> str:
    found = _DEFAULT.search(text)
    if not found:
        return "**must be given**"
    value = found[1].strip()
    return "see `variables.tf`" if value == "{" else f"`{value}`" if value != '""' else "empty"


if __name__ == "__main__":
    print(fill_tables(HERE / "README.md", tables()))
