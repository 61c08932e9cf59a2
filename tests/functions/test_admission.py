import asyncio
import json
from functools import partial

import httpx
import pytest

from functions import push_endpoint
from functions.admission import Admission
from functions.errors import Overloaded
from functions.json_lines import LinePublisher
from jobs.events.publishers import push_envelope
from tests.serving import call

RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}


def test_who_finds_no_place_is_refused_after_a_while() -> None:
    async def story() -> None:
        admission = Admission(2, seconds=0.05)
        async with admission, admission:
            with pytest.raises(Overloaded, match="2 requests"):
                async with admission:
                    pass
        async with admission, admission:
            pass

    asyncio.run(story())


def test_who_waits_has_the_next_place() -> None:
    async def story() -> None:
        admission = Admission(1, seconds=30)

        async def enter() -> None:
            async with admission:
                pass

        async with admission:
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


@pytest.mark.parametrize(("topic_seconds", "patience", "refused"), [(0.1, 30, 0), (2, 0.2, 8)])
def test_a_burst_of_events_waits_for_a_slow_topic_and_is_refused_by_one_that_stands_still(
    event_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    topic_seconds: float,
    patience: float,
    refused: int,
) -> None:
    async def publish(_self: LinePublisher, _message: object) -> None:
        await asyncio.sleep(topic_seconds)

    async def burst(client: httpx.AsyncClient) -> list[httpx.Response]:
        assert (await client.get("/health")).status_code == 200
        return await asyncio.gather(*(client.post("/", content=envelope) for _ in range(16 + 8)))

    monkeypatch.setattr(LinePublisher, "publish", publish)
    monkeypatch.setattr(push_endpoint, "Admission", partial(Admission, most=16, seconds=patience))
    envelope = push_envelope(json.dumps({"ride": RIDE, "ride_id": 1}).encode(), "1")
    answers = call("predict_event", event_settings, burst)
    turned_away = [answer for answer in answers if answer.status_code == 503]
    assert len(turned_away) == refused
    assert [answer.status_code for answer in answers].count(200) == 24 - refused
    assert all(answer.headers["retry-after"] == "1" for answer in turned_away)
    assert all(answer.headers["content-type"] == "application/problem+json" for answer in turned_away)
