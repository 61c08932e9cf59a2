"""python -m jobs query: queries the predictions with SQL."""

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

MAX_ROWS = 50
"""Rows of a displayed result; CSV has all rows."""
FILE_WIDTH = 1000
"""Line width where there is no terminal."""


@click.command(
    cls=JobCommand,
    epilog="\b\n" + "\n".join(f"{name:<13}{description}" for name, description in VIEWS.items()),
    context_settings={"max_content_width": 120},
)
@click.argument("sql")
@click.option(
    "--predictions",
    envvar="PREDICTIONS",
    show_envvar=True,
    required=True,
    metavar="FOLDER",
    help="The folder given to `score --output`, local or gs://….",
)
@click.option(
    "--csv",
    "as_csv",
    is_flag=True,
    help=f"Print all rows as CSV; a table has the first {MAX_ROWS}.",
)
def command(sql: str, predictions: str, as_csv: bool) -> None:
    """Query the predictions with SQL (DuckDB).

    If SQL is -, it is read from standard input. The views read the prediction files as they are now, and
    nothing else can be read or written. "describe rides" lists the columns of a view. The views are:
    """
    with open_database(predictions) as database:
        result = database.query(sys.stdin.read() if sql == "-" else sql)
        if as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(result.columns)
            writer.writerows(result.rows)
        else:
            _show(result.columns, list(itertools.islice(result.rows, MAX_ROWS + 1)))


def _show(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in rows)
        table.add_column(Text(column), justify="right" if numeric else "left")
    for row in rows[:MAX_ROWS]:
        table.add_row(*(Text("NULL", "dim") if value is None else Text(str(value)) for value in row))
    console.print(table)
    if len(rows) > MAX_ROWS:
        console.print(f"the first {MAX_ROWS} rows; --csv prints all")
    else:
        console.print(f"{len(rows)} {'row' if len(rows) == 1 else 'rows'}")
