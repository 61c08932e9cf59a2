"""Markdown tables, and documents with placeholders that a command fills."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from functions.errors import RidecastError


class PlaceholderNotFound(RidecastError):
    """A document, or a placeholder in it, does not exist."""


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> str:
    """A Markdown table, one line per row, each ending with a newline; cells may contain any text.

    Args:
        right: the names of the columns to align right.
    """
    rules = ["--:" if name in right else "---" for name in header]
    cells = [[re.sub(r"([\\|])", r"\\\1", " ".join(cell.split())) for cell in row] for row in (header, *rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (cells[0], rules, *cells[1:]))


def fill_placeholders(document: Path, contents: Mapping[str, str]) -> Path:
    """Replaces what is between each `<!-- NAME -->` and `<!-- /NAME -->` of a document.

    Args:
        contents: by name; tables whose placeholder starts a line, or text within one.

    Raises:
        PlaceholderNotFound: there is no such document, or it has no placeholder of a given name.
    """
    if not document.is_file():
        raise PlaceholderNotFound(f"{document} does not exist: give the folder that contains it, docs")
    text = document.read_text()
    for name, content in contents.items():
        placeholder = re.compile(rf"(<!-- {name} -->\n?).*?(<!-- /{name} -->)", re.DOTALL)
        text, count = placeholder.subn(lambda match, new=content: match[1] + new + match[2], text)  # type: ignore[misc]
        if not count:
            raise PlaceholderNotFound(
                f"{document} has no placeholder <!-- {name} --> <!-- /{name} -->: add it"
            )
    document.write_text(text)
    return document
