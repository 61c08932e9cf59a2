"""Shards: each is written beside its place, and moved there when all of its run are whole."""

import fcntl
import secrets
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from jobs.scoring.engine import Scored
from jobs.scoring.layout import Output, remove_others, shard
from jobs.storage.files import join, move, names_in, remove
from jobs.storage.parquet_writer import RowGroups, writing_parquet

WAITING = ".beam-"
"""How the folder begins in which shards wait; readers of the layout pass it over."""
LOCK = "lock"
MOVES = 16
"""At the same time: each is a call or two of Cloud Storage."""


class Written(NamedTuple):
    """A shard's two files, whole, where they wait."""

    number: int
    predictions: str
    rejected: str


class ShardWriter:
    """Writes the two files of one shard; `close` makes them whole."""

    def __init__(self, waiting: str, number: int) -> None:
        # Beam may try a bundle again, and two tries must not meet in one file.
        attempt = f"{number:05}-{secrets.token_hex(4)}"
        self._written = Written(
            number, join(waiting, f"{attempt}.predictions"), join(waiting, f"{attempt}.rejected")
        )
        self._stack = ExitStack()
        self._predictions: RowGroups = self._stack.enter_context(writing_parquet(self._written.predictions))
        self._rejections: RowGroups = self._stack.enter_context(writing_parquet(self._written.rejected))
        self.rows = 0

    def write(self, scored: Scored) -> None:
        """Adds what became of a batch."""
        self._predictions.write(scored.predicted)
        self._rejections.write(scored.rejected)
        self.rows += scored.outcome.rows

    def close(self) -> Written:
        """Where the files are, which are whole now."""
        self._stack.close()
        return self._written

    def give_up(self) -> None:
        """Leaves nothing."""
        with suppress(_GivenUp), self._stack:
            raise _GivenUp


class _GivenUp(Exception):
    pass


def put_in_place(written: Iterable[Written], output: Output) -> None:
    """Moves all shards of a file to where readers look, and removes what earlier runs left there.

    First the rejected rows are there, a moment later the predictions. Again is harmless.

    Raises:
        FileAccessError: a file cannot be moved.
    """
    shards = list(written)
    for file, waiting in (
        (output.rejected, [each.rejected for each in shards]),
        (output.predictions, [each.predictions for each in shards]),
    ):
        targets = [shard(file, each.number, len(shards)) for each in shards]
        with ThreadPoolExecutor(MOVES) as threads:
            list(threads.map(move, waiting, targets))
    for file in output:
        remove_others(file, [shard(file, number, len(shards)) for number in range(len(shards))])


@contextmanager
def waiting_place(output: str, *, detached: bool = False) -> Iterator[str]:
    """A folder below the output in which shards wait; it is gone when the body ends.

    In a folder of this machine it also removes what runs left that were killed.

    Args:
        detached: who fails or is interrupted only watches; the run may go on, and then needs the folder.
    """
    if output.startswith("gs://"):
        place = join(output, f"{WAITING}{secrets.token_hex(4)}")
        goes_on = False
        try:
            yield place
        except BaseException:
            goes_on = detached
            raise
        finally:
            for name in () if goes_on else names_in(place):
                remove(join(place, name))
        return
    for left in Path(output).glob(f"{WAITING}*"):
        with suppress(OSError), _locked(left):
            shutil.rmtree(left)
    folder = Path(output, f"{WAITING}{secrets.token_hex(4)}")
    folder.mkdir(parents=True)
    try:
        with _locked(folder):
            yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Raises OSError where a living run holds the folder."""
    with (folder / LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
