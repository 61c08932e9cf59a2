"""python -m jobs query: the predictions, asked in SQL."""

import csv
import itertools
import sys
from collections.abc import Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.commands.error_boundary import JobCommand
from jobs.scoring.database import VIEWS, open_database

MOST_ROWS = 50
"""Of an answer that is shown; a person reads no more, and CSV has them all."""
WIDEST = 1000
"""Characters of a line where there is no terminal to fit it into."""


@click.command(
    cls=JobCommand,
    epilog="\b\n" + "\n".join(f"{name:<13}{what}" for name, what in VIEWS.items()),
    context_settings={"max_content_width": 120},
)
@click.argument("sql")
@click.option(
    "--predictions",
    "place",
    envvar="PREDICTIONS",
    show_envvar=True,
    required=True,
    metavar="PLACE",
    help="What `score --output` was given: a folder, local or gs://….",
)
@click.option("--csv", "as_csv", is_flag=True, help=f"All rows, as CSV; a table shows the first {MOST_ROWS}.")
def command(sql: str, place: str, as_csv: bool) -> None:
    """Ask the database of predictions, in DuckDB's SQL.

    SQL may be -, for what comes on standard input. The database is the files themselves, as they are now.
    They are only read, and no others. "describe rides" lists a view's columns. The views:
    """
    with open_database(place) as database:
        answer = database.ask(sys.stdin.read() if sql == "-" else sql)
        if as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(answer.columns)
            writer.writerows(answer.rows)
        else:
            _show(answer.columns, list(itertools.islice(answer.rows, MOST_ROWS + 1)))


def _show(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDEST
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        numbers = any(isinstance(row[number], int | float) for row in rows)
        table.add_column(Text(column), justify="right" if numbers else "left")
    for row in rows[:MOST_ROWS]:
        table.add_row(*(Text("NULL", "dim") if value is None else Text(str(value)) for value in row))
    console.print(table)
    if len(rows) > MOST_ROWS:
        console.print(f"the first {MOST_ROWS} rows; --csv prints all")
    else:
        console.print(f"{len(rows)} {'row' if len(rows) == 1 else 'rows'}")
