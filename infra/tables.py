"""python -m infra.tables: generates the tables of infra/README.md from the Terraform configuration."""

import re
from collections.abc import Iterator
from pathlib import Path

from jobs.ui.markdown import fill_placeholders, markdown_table

HERE = Path(__file__).parent
_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}$', re.DOTALL | re.MULTILINE)
_DEFAULT = re.compile(r"^  default +=( .*)$", re.MULTILINE)


def tables() -> dict[str, str]:
    """Markdown tables by the name of their block in the README."""
    variables = [(f"`{name}`", _description(text), _default(text)) for name, text in _blocks("variables.tf")]
    outputs = [(f"`{name}`", _description(text)) for name, text in _blocks("outputs.tf")]
    return {
        "variables": markdown_table(("variable", "description", "default"), variables),
        "outputs": markdown_table(("output", "description"), outputs),
    }


def _blocks(file: str) -> Iterator[tuple[str, str]]:
    for _, name, text in _BLOCK.findall((HERE / file).read_text()):
        yield name, text


def _description(text: str) -> str:
    match = re.search(r'^  description = "(.*)"$', text, re.MULTILINE)
    assert match, text
    return match[1]


def _default(text: str) -> str:
    match = _DEFAULT.search(text)
    if not match:
        return "**required**"
    value = match[1].strip()
    return "see `variables.tf`" if value == "{" else f"`{value}`" if value != '""' else "empty"


if __name__ == "__main__":
    print(fill_placeholders(HERE / "README.md", tables()))
