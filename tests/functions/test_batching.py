import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from functions import batching
from functions.batching import Batching
from functions.errors import ImplausiblePrediction, Problem
from functions.model import Model, load_model
from functions.resolver import resolve
from functions.rides import Prediction, Ride

FAULTY = 265


class Counting:
    """A model that notes how many rides each call has, and refuses those to zone 265."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict_rides(self, rides: Sequence[Ride]) -> list[Prediction]:
        self.calls.append(len(rides))
        if any(ride.DOLocationID == FAULTY for ride in rides):
            raise ImplausiblePrediction(Problem("#", f"{len(rides)} rides"))
        return [Prediction(float(ride.DOLocationID), "ride_duration", "1") for ride in rides]


def rides(*zones: int) -> list[Ride]:
    return [Ride(1, zone, 1.0) for zone in zones]


def together(*asked: tuple[Counting, list[Ride]]) -> list[list[float] | Exception]:
    """What each of several requests gets that come in one turn."""

    async def story() -> list[list[Prediction] | BaseException]:
        batched = Batching()
        predict = cast(Callable[[object, list[Ride]], Awaitable[list[Prediction]]], batched.predict)
        return await asyncio.gather(*(predict(model, one) for model, one in asked), return_exceptions=True)

    answers = asyncio.run(story())
    return [
        answer if isinstance(answer, Exception) else [one.value for one in cast(list[Prediction], answer)]
        for answer in answers
    ]


def test_what_comes_in_one_turn_is_one_call_and_each_gets_its_own() -> None:
    model = Counting()
    assert together((model, rides(1)), (model, rides(2, 3)), (model, []), (model, rides(4))) == [
        [1],
        [2, 3],
        [],
        [4],
    ]
    assert model.calls == [4]


def test_one_that_fails_does_not_fail_its_neighbours() -> None:
    model = Counting()
    first, second, third = together((model, rides(1)), (model, rides(2, FAULTY)), (model, rides(3)))
    assert (first, third) == ([1], [3])
    assert isinstance(second, ImplausiblePrediction)
    assert "2 rides" in str(second)


def test_each_is_answered_by_the_model_it_was_given() -> None:
    old, new = Counting(), Counting()
    assert together((old, rides(1)), (new, rides(2)), (new, rides(3))) == [[1], [2], [3]]
    assert (old.calls, new.calls) == ([1], [2])


def test_no_call_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST_RIDES", 3)
    model = Counting()
    many = [rides(1, 2), rides(3), rides(4), rides(5, 6, 7, 8), rides(9)]
    assert together(*((model, one) for one in many)) == [[ride.DOLocationID for ride in one] for one in many]
    assert model.calls == [3, 1, 4, 1]


def test_who_has_gone_is_not_predicted_for() -> None:
    model = Counting()

    async def story() -> None:
        batched = Batching()
        waiting = [
            asyncio.create_task(batched.predict(cast(Model, model), rides(zone))) for zone in (1, 2, 3)
        ]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.wait(waiting)
        assert [task.cancelled() for task in waiting] == [False, True, False]

    asyncio.run(story())
    assert model.calls == [2]


def test_together_and_alone_have_the_same_bits(onnx_folder: Path) -> None:
    model = load_model(resolve(str(onnx_folder)))
    some = [Ride(1 + n % 263, 1 + n * 7 % 263, n / 10) for n in range(200)]

    async def story() -> list[list[Prediction]]:
        batched = Batching()
        return await asyncio.gather(*(batched.predict(model, [ride]) for ride in some))

    assert asyncio.run(story()) == [model.predict_rides([ride]) for ride in some]
