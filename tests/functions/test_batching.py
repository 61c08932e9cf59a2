import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from functions import batching
from functions.batching import Batcher
from functions.errors import ImplausiblePrediction, Problem
from functions.model import Model, load_model
from functions.resolver import resolve
from functions.rides import Prediction, Ride

INVALID_ZONE = 265


class CountingModel:
    """A model that records the size of each call and rejects rides to `INVALID_ZONE`."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict_rides(self, rides: Sequence[Ride]) -> list[Prediction]:
        self.calls.append(len(rides))
        if any(ride.DOLocationID == INVALID_ZONE for ride in rides):
            raise ImplausiblePrediction(Problem("#", f"{len(rides)} rides"))
        return [Prediction(float(ride.DOLocationID), "ride_duration", "1") for ride in rides]


def rides(*zones: int) -> list[Ride]:
    return [Ride(1, zone, 1.0) for zone in zones]


def predict_concurrently(*requests: tuple[CountingModel, list[Ride]]) -> list[list[float] | Exception]:
    """The predictions or the error of each of several concurrent requests."""

    async def scenario() -> list[list[Prediction] | BaseException]:
        batcher = Batcher()
        predict = cast(Callable[[object, list[Ride]], Awaitable[list[Prediction]]], batcher.predict)
        return await asyncio.gather(*(predict(model, one) for model, one in requests), return_exceptions=True)

    results = asyncio.run(scenario())
    return [
        result if isinstance(result, Exception) else [one.value for one in cast(list[Prediction], result)]
        for result in results
    ]


def test_concurrent_requests_share_one_call_and_each_gets_its_own_predictions() -> None:
    model = CountingModel()
    assert predict_concurrently((model, rides(1)), (model, rides(2, 3)), (model, []), (model, rides(4))) == [
        [1],
        [2, 3],
        [],
        [4],
    ]
    assert model.calls == [4]


def test_one_failing_request_does_not_fail_the_others() -> None:
    model = CountingModel()
    batch = [rides(1), rides(2, INVALID_ZONE), rides(3)]
    first, second, third = predict_concurrently(*((model, one) for one in batch))
    assert (first, third) == ([1], [3])
    assert isinstance(second, ImplausiblePrediction)
    assert "2 rides" in str(second)


def test_each_request_is_predicted_by_its_own_model() -> None:
    old, new = CountingModel(), CountingModel()
    assert predict_concurrently((old, rides(1)), (new, rides(2)), (new, rides(3))) == [[1], [2], [3]]
    assert (old.calls, new.calls) == ([1], [2])


def test_batches_are_limited_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MAX_BATCH_RIDES", 3)
    model = CountingModel()
    many = [rides(1, 2), rides(3), rides(4), rides(5, 6, 7, 8), rides(9)]
    results = predict_concurrently(*((model, one) for one in many))
    assert results == [[ride.DOLocationID for ride in one] for one in many]
    assert model.calls == [3, 1, 4, 1]


def test_cancelled_requests_are_dropped_from_the_batch() -> None:
    model = CountingModel()

    async def scenario() -> None:
        batcher = Batcher()
        tasks = [asyncio.create_task(batcher.predict(cast(Model, model), rides(zone))) for zone in (1, 2, 3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [False, True, False]

    asyncio.run(scenario())
    assert model.calls == [2]


def test_batching_does_not_change_a_bit(onnx_folder: Path) -> None:
    model = load_model(resolve(str(onnx_folder)))
    some = [Ride(1 + n % 263, 1 + n * 7 % 263, n / 10) for n in range(200)]

    async def scenario() -> list[list[Prediction]]:
        batcher = Batcher()
        return await asyncio.gather(*(batcher.predict(model, [ride]) for ride in some))

    assert asyncio.run(scenario()) == [model.predict_rides([ride]) for ride in some]
