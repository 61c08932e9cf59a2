"""Rides that come together are predicted together: one call of the model for two turns of the event loop.

Most of what one ride costs is the call, not the ride. Nobody waits for others to come: there is no timer.
Together or alone gives the same bits.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from functions.model import Model
from functions.rides import Prediction, Ride

MOST_RIDES = 1000
"""Of one call, some 6 ms; what is over comes in the next turn."""


class _Waiting(NamedTuple):
    model: Model
    rides: Sequence[Ride]
    made: asyncio.Future[list[Prediction]]


class Batching:
    """For one event loop."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []

    async def predict(self, model: Model, rides: Sequence[Ride]) -> list[Prediction]:
        """One prediction a ride, in their order.

        Raises:
            ModelUnavailable, ImplausiblePrediction: the model's own for these rides; another's do not matter.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(model, rides, loop.create_future())
        if not self._waiting:
            # In the turn after the next one: requests that are being read now are then among them.
            loop.call_soon(loop.call_soon, self._predict)
        self._waiting.append(waiting)
        return await waiting.made

    def _predict(self) -> None:
        batch = self._next_batch()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._predict)
        if batch:
            _settle(batch)

    def _next_batch(self) -> list[_Waiting]:
        """The oldest that wait for one model, as many as fit; without those that were given up."""
        count = rides = 0
        for one in self._waiting:
            rides += len(one.rides)
            if one.model is not self._waiting[0].model or (count and rides > MOST_RIDES):
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return [one for one in batch if not one.made.done()]


def _settle(batch: Sequence[_Waiting]) -> None:
    """Predicts for all of a batch; where that fails, for each alone, so that none fails another."""
    try:
        predictions = iter(batch[0].model.predict_rides([ride for one in batch for ride in one.rides]))
    except Exception as error:  # a bug, too, is for who waits: here nobody would see it
        if len(batch) == 1:
            batch[0].made.set_exception(error)
            return
        for one in batch:
            _settle([one])
        return
    for one in batch:
        one.made.set_result(list(islice(predictions, len(one.rides))))
