"""Read → predict on all cores → write, in the order of the file, never much of it in memory."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from functions.model import Model
from jobs.scoring.layout import Output
from jobs.scoring.protocols import Subject
from jobs.scoring.stats import Outcome
from jobs.storage.files import trouble_with
from jobs.storage.parquet_writer import writing_parquet

BATCH_ROWS = 1 << 14
"""A tenth of a second's work of one core; small months then still keep all cores busy."""
AHEAD = 2
"""Batches read before a core is free for them."""
IMPLAUSIBLE = "the model's number cannot be"
NO_FAULT = -1
CORES = os.cpu_count() or 1


class Scored(NamedTuple):
    """What became of a batch."""

    predicted: pa.RecordBatch
    rejected: pa.RecordBatch
    outcome: Outcome


def score(subject: Subject, model: Model, output: Output, watch: Callable[[Outcome], object]) -> Outcome:
    """Predicts every row that can be predicted; the others are written with the reason.

    Readers see each file whole, or what was there before: first the rejected rows are there, a moment later
    the predictions, and with them the run is finished.

    Args:
        watch: is told, batch by batch, what has been written so far.

    Raises:
        FileAccessError: the input is damaged, or the output cannot be written; what was there before stays.
        ModelUnavailable: the model failed.
    """
    outcome = Outcome()
    with writing_parquet(output.predictions) as predictions, writing_parquet(output.rejected) as rejections:
        for scored in _in_order(subject, model):
            predictions.write(scored.predicted)
            rejections.write(scored.rejected)
            outcome.add(scored.outcome)
            watch(outcome)
        # Both are whole before either is there.
        predictions.close()
        rejections.close()
    return outcome


def _in_order(subject: Subject, model: Model) -> Iterator[Scored]:
    pending: deque[Future[Scored]] = deque()
    first = 0
    # Threads: onnxruntime and Arrow work without Python's lock. One call of the model uses one core, so
    # that its sums have the same bits as in a function.
    with ThreadPoolExecutor(CORES) as pool:
        for batch in subject.batches(BATCH_ROWS):
            pending.append(pool.submit(score_batch, subject, model, batch, first))
            first += batch.num_rows
            if len(pending) == CORES + AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def score_batch(subject: Subject, model: Model, batch: pa.RecordBatch, first: int) -> Scored:
    """Predicts the rows of a batch that can be predicted.

    Args:
        first: where the batch begins in the file.

    Raises:
        FileAccessError: the batch is damaged.
        ModelUnavailable: the model failed.
    """
    with trouble_with(subject.place):
        judged = subject.judge(batch, first)
        faults = [*judged.faults, IMPLAUSIBLE]
        fault = np.full(batch.num_rows, NO_FAULT)
        for number, mask in reversed(list(enumerate(judged.faults.values()))):
            fault[mask] = number
        usable = np.flatnonzero(fault == NO_FAULT)
        numbers = model.score(judged.table(usable), len(usable))
        plausible = model.plausible(numbers)
        fault[usable[~plausible]] = faults.index(IMPLAUSIBLE)

        kept, rejected = usable[plausible], np.flatnonzero(fault != NO_FAULT)
        outcome = Outcome.of(numbers[plausible], judged.actual(kept))
        reasons = pa.array(faults).take(pa.array(fault[rejected]))
        outcome.rejected = Counter(reasons.to_pylist())
        outcome.mended = Counter({what: int(mask[kept].sum()) for what, mask in judged.mended.items()})
        return Scored(judged.predicted(kept, numbers[plausible]), judged.rejected(rejected, reasons), outcome)
