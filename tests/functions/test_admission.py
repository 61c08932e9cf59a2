import asyncio
import json
from pathlib import Path

import httpx
import pytest

from functions.admission import MOST_AT_ONCE, WAIT_SECONDS, Admission
from functions.errors import Overloaded
from functions.lines import LinePublisher
from jobs.wires import push_envelope
from tests.serving import call

RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}


def test_one_more_than_may_be_inside_waits_for_a_place_and_is_refused_if_none_comes() -> None:
    async def story() -> None:
        admission = Admission(2, seconds=0.1)

        async def enter() -> None:
            async with admission:
                pass

        async with admission:
            async with admission:
                with pytest.raises(Overloaded, match="2 requests"):
                    await enter()
                entering = asyncio.create_task(enter())
                await asyncio.sleep(0.01)
                assert not entering.done()
            await entering

    asyncio.run(story())


def test_a_place_is_given_back_by_who_is_cancelled_at_the_door_or_fails_inside() -> None:
    async def story() -> None:
        admission = Admission(1, seconds=0.1)

        async def enter() -> None:
            async with admission:
                raise RuntimeError

        async with admission:
            entering = asyncio.create_task(enter())
            await asyncio.sleep(0)
            entering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await entering
        with pytest.raises(RuntimeError):
            await enter()
        async with admission:
            pass

    asyncio.run(story())


@pytest.mark.parametrize("seconds", [0.5, 2.5])
def test_a_burst_of_events_waits_for_a_slow_topic_and_is_refused_by_one_that_stands_still(
    onnx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    async def publish(_self: LinePublisher, _message: object) -> None:
        await asyncio.sleep(seconds)

    async def burst(client: httpx.AsyncClient) -> list[httpx.Response]:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(client.post("/", content=envelope)) for _ in range(MOST_AT_ONCE + 44)]
        return [task.result() for task in asked]

    monkeypatch.setattr(LinePublisher, "publish", publish)
    envelope = push_envelope(json.dumps({"ride": RIDE, "ride_id": 1}).encode(), "1")
    settings = {
        "MODEL_URI": str(onnx_folder),
        "PREDICTIONS_TOPIC": str(tmp_path / "predictions"),
        "DEAD_LETTER_TOPIC": str(tmp_path / "dead"),
    }
    refused = [each for each in call("predict_event", settings, burst) if each.status_code != 200]
    assert len(refused) == (0 if seconds < WAIT_SECONDS else 44)
    assert all(answer.status_code == 503 for answer in refused)
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert all(answer.headers["content-type"] == "application/problem+json" for answer in refused)
