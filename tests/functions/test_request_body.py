import asyncio
import base64
import json
import tracemalloc
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from functions.errors import Overloaded, TooLarge
from functions.push_endpoint import LARGEST_DELIVERY
from functions.push_envelope import read_message
from functions.request_body import MOST_BYTES, Bodies, NotWhole
from tests.serving import call, post

RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}


def request(chunks: list[bytes], pause: float = 0.0) -> Request:
    """A POST whose body comes in these chunks."""
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


def read(chunks: list[bytes], largest: int, *, pause: float = 0.0, seconds: float = 5.0) -> bytes:
    async def story() -> bytes:
        async with Bodies(largest).read(request(chunks, pause), soon(seconds)) as body:
            return bytes(body)

    return asyncio.run(story())


def test_a_body_that_drips_is_given_up() -> None:
    with pytest.raises(NotWhole, match="in time"):
        read([b"x"] * 100, 1000, pause=0.02, seconds=0.1)


def test_the_largest_body_is_read_and_one_byte_more_is_not() -> None:
    assert read([b"ab", b"cd"], 4) == b"abcd"
    with pytest.raises(TooLarge, match="at most 4 bytes"):
        read([b"ab", b"cde"], 4)


def test_all_bodies_together_have_a_limit_and_their_room_is_given_back() -> None:
    async def story() -> None:
        bodies = Bodies(largest=6, most=10)
        async with bodies.read(request([b"123456"]), soon()):
            with pytest.raises(Overloaded, match="bytes"):
                async with bodies.read(request([b"123", b"45"]), soon()):
                    pass
            with pytest.raises(NotWhole):
                async with bodies.read(request([b"1234", b"5"], pause=0.05), soon(0.07)):
                    pass
            async with bodies.read(request([b"1234"]), soon()) as last:
                assert last == b"1234"
        async with bodies.read(request([b"123456"]), soon()):
            pass

    asyncio.run(story())


def test_the_largest_event_is_in_memory_once_as_it_came_and_once_as_it_is_meant() -> None:
    data = b"x" * 10_000_000
    body = b'{"message":{"data":"%b"}}' % base64.b64encode(data)
    chunks = [body[start : start + 65536] for start in range(0, len(body), 65536)]

    async def story() -> int:
        tracemalloc.start()
        async with Bodies(LARGEST_DELIVERY).read(request(chunks), soon()) as come:
            assert len(read_message({}, come).data) == len(data)
        return tracemalloc.get_traced_memory()[1]

    try:
        peak = asyncio.run(story())
    finally:
        tracemalloc.stop()
    assert peak < 1.15 * len(body) + len(data) + 1_000_000, "a list that grows has an eighth to spare"


def test_an_event_that_pubsub_could_not_have_brought_is_a_dead_letter_cut_to_what_it_takes(
    event_settings: dict[str, str],
) -> None:
    data = json.dumps({"ride": RIDE, "ride_id": 1}).encode().ljust(10_000_001)
    push = {"message": {"data": base64.b64encode(data).decode()}, "subscription": "s"}
    assert post("predict_event", event_settings, "/", json=push).status_code == 200
    (line,) = Path(event_settings["DEAD_LETTER_TOPIC"]).read_text().splitlines()
    attributes = json.loads(line)["attributes"]
    assert attributes["dead_letter_reason"] == "too_large"
    assert attributes["dead_letter_full_size"] == "10000001"
    assert not Path(event_settings["PREDICTIONS_TOPIC"]).exists()


def test_many_large_bodies_at_once_are_refused_and_a_small_one_passes_again_later(
    event_settings: dict[str, str],
) -> None:
    async def half_sent() -> Any:
        for _ in range(19):
            yield b"x" * 1_000_000
        await asyncio.sleep(1)
        yield b"x"

    async def story(client: httpx.AsyncClient) -> list[int]:
        senders = MOST_BYTES // 19_000_000 + 3
        answers = await asyncio.gather(*(client.post("/", content=half_sent()) for _ in range(senders)))
        after = await client.post("/", json={"message": {"data": "e30="}})
        assert after.status_code == 200
        return [answer.status_code for answer in answers]

    codes = call("predict_event", event_settings, story)
    assert set(codes) == {200, 503}
    assert codes.count(503) >= 3
