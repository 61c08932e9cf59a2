"""Predicts the rides of concurrent requests together: one call of the model per two turns of the event loop.

Most of the cost of a single ride is the call, not the ride. No request waits for others: there is no timer.
Batching does not change any bit of a prediction.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from functions.model import Model
from functions.rides import Prediction, Ride

MAX_BATCH_RIDES = 1000
"""Rides per call, which takes about 6 ms; the rest follows in the next turn."""


class _PendingRides(NamedTuple):
    model: Model
    rides: Sequence[Ride]
    predictions: asyncio.Future[list[Prediction]]


class Batcher:
    """Collects rides and predicts them in batches; for one event loop."""

    def __init__(self) -> None:
        self._pending: list[_PendingRides] = []

    async def predict(self, model: Model, rides: Sequence[Ride]) -> list[Prediction]:
        """One prediction per ride, in order.

        Raises ModelUnavailable or ImplausiblePrediction from the model, for these rides only.
        """
        loop = asyncio.get_running_loop()
        pending = _PendingRides(model, rides, loop.create_future())
        if not self._pending:
            # Two turns ahead, so that requests that are being read now join the batch.
            loop.call_soon(loop.call_soon, self._predict)
        self._pending.append(pending)
        return await pending.predictions

    def _predict(self) -> None:
        batch = self._next_batch()
        if self._pending:
            asyncio.get_running_loop().call_soon(self._predict)
        if batch:
            _predict_batch(batch)

    def _next_batch(self) -> list[_PendingRides]:
        """Takes the oldest entries for one model, up to the limit, and drops cancelled ones."""
        count = rides = 0
        for entry in self._pending:
            rides += len(entry.rides)
            if entry.model is not self._pending[0].model or (count and rides > MAX_BATCH_RIDES):
                break
            count += 1
        batch, self._pending = self._pending[:count], self._pending[count:]
        return [entry for entry in batch if not entry.predictions.done()]


def _predict_batch(batch: Sequence[_PendingRides]) -> None:
    """Predicts a batch; if that fails, predicts each entry alone, so that none fails the others."""
    try:
        predictions = iter(batch[0].model.predict_rides([ride for entry in batch for ride in entry.rides]))
    except Exception as error:  # bugs included: the waiting request must see them
        if len(batch) == 1:
            batch[0].predictions.set_exception(error)
            return
        for entry in batch:
            _predict_batch([entry])
        return
    for entry in batch:
        entry.predictions.set_result(list(islice(predictions, len(entry.rides))))
