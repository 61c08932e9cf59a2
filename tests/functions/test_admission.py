import asyncio
import base64
import json
import tracemalloc
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from functions.admission import MOST_AT_ONCE, Admission
from functions.errors import Overloaded, TooLarge
from functions.events import read_message
from functions.responses import NotWhole, read_body
from tests.serving import call, post

RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}


def test_one_more_than_may_be_inside_is_refused_and_let_in_when_there_is_room() -> None:
    async def story() -> None:
        admission = Admission(2)
        async with admission, admission:
            with pytest.raises(Overloaded, match="2 requests"):
                async with admission:
                    pass
        async with admission, admission:
            pass

    asyncio.run(story())


def test_a_place_is_given_back_by_who_is_cancelled_at_the_door_or_fails_inside() -> None:
    async def story() -> None:
        admission = Admission(1)

        async def enter() -> None:
            async with admission:
                raise RuntimeError

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


def test_a_burst_is_answered_in_part_and_refused_in_part_and_then_all_is_well(onnx_folder: Path) -> None:
    async def burst(client: httpx.AsyncClient) -> list[httpx.Response]:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(client.post("/predict", json=RIDE)) for _ in range(MOST_AT_ONCE + 44)]
        after = await client.post("/predict", json=RIDE)
        assert after.status_code == 200
        return [task.result() for task in asked]

    answers = call("predict", {"MODEL_URI": str(onnx_folder)}, burst)
    assert [answer.status_code for answer in answers].count(200) == MOST_AT_ONCE
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == 44
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert all(answer.headers["content-type"] == "application/problem+json" for answer in refused)


def request(chunks: list[bytes], pause: float = 0.0) -> Request:
    """A POST whose body comes in these chunks."""
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def read(chunks: list[bytes], largest: int, *, pause: float = 0.0, seconds: float = 5.0) -> bytearray:
    async def story() -> bytearray:
        return await read_body(request(chunks, pause), largest, asyncio.get_running_loop().time() + seconds)

    return asyncio.run(story())


def test_a_body_that_drips_is_given_up() -> None:
    with pytest.raises(NotWhole, match="in time"):
        read([b"x"] * 100, 1000, pause=0.02, seconds=0.1)


def test_the_largest_body_is_read_and_one_byte_more_is_not() -> None:
    assert read([b"ab", b"cd"], 4) == b"abcd"
    with pytest.raises(TooLarge, match="at most 4 bytes"):
        read([b"ab", b"cde"], 4)


def test_the_largest_event_is_in_memory_once_as_it_came_and_once_as_it_is_meant() -> None:
    data = b"x" * 10_000_000
    body = b'{"message":{"data":"%b"}}' % base64.b64encode(data)
    chunks = [body[start : start + 65536] for start in range(0, len(body), 65536)]

    async def story() -> int:
        tracemalloc.start()
        come = await read_body(request(chunks), 20_000_000, asyncio.get_running_loop().time() + 5)
        assert len(read_message({}, come).data) == len(data)
        return tracemalloc.get_traced_memory()[1]

    try:
        peak = asyncio.run(story())
    finally:
        tracemalloc.stop()
    assert peak < 1.15 * len(body) + len(data) + 1_000_000, "a list that grows has an eighth to spare"


def test_an_event_that_pubsub_could_not_have_brought_is_a_dead_letter_cut_to_what_it_takes(
    onnx_folder: Path, tmp_path: Path
) -> None:
    settings = {
        "MODEL_URI": str(onnx_folder),
        "PREDICTIONS_TOPIC": str(tmp_path / "predictions"),
        "DEAD_LETTER_TOPIC": str(tmp_path / "dead"),
    }
    data = json.dumps({"ride": RIDE, "ride_id": 1}).encode().ljust(10_000_001)
    push = {"message": {"data": base64.b64encode(data).decode()}, "subscription": "s"}
    assert post("predict_event", settings, "/", json=push).status_code == 200
    (line,) = (tmp_path / "dead").read_text().splitlines()
    attributes = json.loads(line)["attributes"]
    assert attributes["dead_letter_reason"] == "too_large"
    assert attributes["dead_letter_full_size"] == "10000001"
    assert not (tmp_path / "predictions").exists()
