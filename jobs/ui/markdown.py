"""Tables that a command writes into a document, between the text that people write."""

import re
from collections.abc import Mapping
from pathlib import Path

from functions.errors import RidecastError


class NoDocument(RidecastError):
    """There is no document with a place for the tables; the text says what is missing."""


def fill_tables(document: Path, tables: Mapping[str, str]) -> Path:
    """Puts tables between `<!-- NAME -->` and `<!-- /NAME -->` of the document; the others stay.

    Args:
        tables: Markdown by name.

    Raises:
        NoDocument: there is none, or it has no place for a table.
    """
    if not document.is_file():
        raise NoDocument(f"{document} does not exist: give the folder that has it, docs")
    text = document.read_text()
    for name, table in tables.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not place.search(text):
            raise NoDocument(f"{document} has no place <!-- {name} --> <!-- /{name} --> for a table: add it")
        text = place.sub(lambda found, table=table: found[1] + table + found[2], text)  # type: ignore[misc]
    document.write_text(text)
    return document
