"""Shards: written to a staging folder, and moved to their final location once all are complete."""

import fcntl
import secrets
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from jobs.scoring.engine import ScoredBatch
from jobs.scoring.layout import OutputFiles, remove_stale_files, shard_uri
from jobs.storage.files import join, list_names, move, remove
from jobs.storage.parquet_writer import open_parquet_writer

STAGING_PREFIX = ".beam-"
"""Prefix of the staging folder's name, which readers of the layout ignore."""
LOCK = "lock"
CONCURRENT_MOVES = 16
"""Each move is one or two calls of Cloud Storage."""


class WrittenShard(NamedTuple):
    """The two complete files of a shard, in the staging folder."""

    number: int
    predictions: str
    rejected: str


class ShardWriter:
    """Writes the two files of one shard; `close` completes them."""

    def __init__(self, staging: str, number: int) -> None:
        # Beam may retry a bundle, and two attempts must not write to one file.
        attempt = f"{number:05}-{secrets.token_hex(4)}"
        path = join(staging, attempt)
        self._written = WrittenShard(number, f"{path}.predictions", f"{path}.rejected")
        self._stack = ExitStack()
        self._predictions = self._stack.enter_context(open_parquet_writer(self._written.predictions))
        self._rejections = self._stack.enter_context(open_parquet_writer(self._written.rejected))
        self.rows = 0

    def write(self, scored: ScoredBatch) -> None:
        """Adds a scored batch."""
        self._predictions.write(scored.predicted)
        self._rejections.write(scored.rejected)
        self.rows += scored.stats.rows

    def close(self) -> WrittenShard:
        """Completes the files."""
        self._stack.close()
        return self._written

    def abort(self) -> None:
        """Removes the files."""
        with suppress(_Aborted), self._stack:
            raise _Aborted


class _Aborted(Exception):
    pass


def commit_shards(written: Iterable[WrittenShard], output: OutputFiles) -> None:
    """Moves all shards of a file to its final location, and removes the files of earlier runs there.

    The rejected rows are moved first, then the predictions. Committing again is harmless. Raises
    FileAccessError if a file cannot be moved.
    """
    shards = list(written)
    rejected, predictions = [each.rejected for each in shards], [each.predictions for each in shards]
    targets = {file: [shard_uri(file, each.number, len(shards)) for each in shards] for file in output}
    with ThreadPoolExecutor(CONCURRENT_MOVES) as threads:
        list(threads.map(move, rejected, targets[output.rejected]))
        list(threads.map(move, predictions, targets[output.predictions]))
    for file, current in targets.items():
        remove_stale_files(file, current)


@contextmanager
def staging_dir(output: str, *, detached: bool = False) -> Iterator[str]:
    """Yields a staging folder below the output, and removes it at the end.

    On this machine, it also removes the staging folders of runs that were killed. A `detached` run may
    continue without this process, so an error or interruption must not remove its folder.
    """
    if output.startswith("gs://"):
        folder = join(output, f"{STAGING_PREFIX}{secrets.token_hex(4)}")
        keep = False
        try:
            yield folder
        except BaseException:
            keep = detached
            raise
        finally:
            for name in () if keep else list_names(folder):
                remove(join(folder, name))
        return
    for leftover in Path(output).glob(f"{STAGING_PREFIX}*"):
        with suppress(OSError), _locked(leftover):
            shutil.rmtree(leftover)
    local_folder = Path(output, f"{STAGING_PREFIX}{secrets.token_hex(4)}")
    local_folder.mkdir(parents=True)
    try:
        with _locked(local_folder):
            yield str(local_folder)
    finally:
        shutil.rmtree(local_folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds a folder's lock; raises OSError if another running process holds it."""
    with (folder / LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
