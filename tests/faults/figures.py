"""The figures of a run: printed at its end as tables, and with --full written into docs/reliability.md."""

from pathlib import Path

from jobs.ui.markdown import fill_placeholders, markdown_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"

Row = dict[str, str]
"""Cells by the name of their column."""


class Figures:
    """Rows of tables by the table's name; a table stands between `<!-- NAME -->` and `<!-- /NAME -->`."""

    def __init__(self) -> None:
        self._tables: dict[str, list[Row]] = {}

    def add(self, table: str, **cells: str) -> None:
        """One row; all rows of a table have the same columns. Underscores in their names become spaces."""
        row = {name.replace("_", " "): text for name, text in cells.items()}
        self._tables.setdefault(table, []).append(row)

    def tables(self) -> dict[str, str]:
        """Each table as Markdown; numbered rows in their order."""
        return {
            name: markdown_table(
                list(rows[0]),
                [list(row.values()) for row in sorted(rows, key=lambda row: int(row.get("row", 0)))],
            )
            for name, rows in self._tables.items()
        }

    def write(self, document: Path = DOCUMENT) -> None:
        """Replaces the tables that this run made; the others stay."""
        fill_placeholders(document, self.tables())
