import asyncio
import json
from functools import partial

import httpx
import pytest

from functions import push_endpoint
from functions.admission import AdmissionControl
from functions.errors import Overloaded
from functions.json_lines import JsonLinesPublisher
from jobs.events.publishers import push_envelope
from tests.serving import call

RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}


def test_a_request_without_a_slot_is_rejected_after_the_maximum_wait() -> None:
    async def scenario() -> None:
        admission = AdmissionControl(2, max_wait=0.05)
        async with admission, admission:
            with pytest.raises(Overloaded, match="2 requests"):
                async with admission:
                    pass
        async with admission, admission:
            pass

    asyncio.run(scenario())


def test_a_waiting_request_gets_the_next_free_slot() -> None:
    async def scenario() -> None:
        admission = AdmissionControl(1, max_wait=30)

        async def enter() -> None:
            async with admission:
                pass

        async with admission:
            waiting = asyncio.create_task(enter())
            await asyncio.sleep(0.01)
            assert not waiting.done()
        await waiting

    asyncio.run(scenario())


def test_a_slot_is_released_after_cancellation_and_after_failure() -> None:
    async def scenario() -> None:
        admission = AdmissionControl(1, max_wait=0.1)

        async def enter() -> None:
            async with admission:
                raise RuntimeError

        async with admission:
            waiting = asyncio.create_task(enter())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        with pytest.raises(RuntimeError):
            await enter()
        async with admission:
            pass

    asyncio.run(scenario())


@pytest.mark.parametrize(("topic_seconds", "max_wait", "expected_rejections"), [(0.1, 30, 0), (2, 0.2, 8)])
def test_a_burst_waits_for_a_slow_topic_and_is_rejected_if_the_topic_stalls(
    event_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    topic_seconds: float,
    max_wait: float,
    expected_rejections: int,
) -> None:
    async def publish(_self: JsonLinesPublisher, _message: object) -> None:
        await asyncio.sleep(topic_seconds)

    async def burst(client: httpx.AsyncClient) -> list[httpx.Response]:
        assert (await client.get("/health")).status_code == 200
        return await asyncio.gather(*(client.post("/", content=envelope) for _ in range(16 + 8)))

    monkeypatch.setattr(JsonLinesPublisher, "publish", publish)
    monkeypatch.setattr(push_endpoint, "AdmissionControl", partial(AdmissionControl, 16, max_wait))
    envelope = push_envelope(json.dumps({"ride": RIDE, "ride_id": 1}).encode(), "1")
    responses = call("predict_event", event_settings, burst)
    rejected = [response for response in responses if response.status_code == 503]
    assert len(rejected) == expected_rejections
    assert [response.status_code for response in responses].count(200) == 24 - expected_rejections
    assert all(response.headers["retry-after"] == "1" for response in rejected)
    assert all(response.headers["content-type"] == "application/problem+json" for response in rejected)
