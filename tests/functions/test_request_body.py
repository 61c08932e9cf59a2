import asyncio
import base64
import gzip
import json
import random
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from functions.errors import Overloaded, TooLarge, UnreadableBody
from functions.push_endpoint import MAX_DELIVERY_BYTES
from functions.push_envelope import decode_push
from functions.request_body import MAX_TOTAL_BYTES, BodyReader, IncompleteBody, UnsupportedEncoding
from tests.serving import call, post

RIDE = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
GZIPPED = gzip.compress(b"abc", mtime=0)


def request(chunks: list[bytes], pause: float = 0.0) -> Request:
    """A POST request whose body arrives in these chunks."""
    remaining = list(chunks)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": remaining.pop(0), "more_body": bool(remaining)}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def deadline_in(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


def read(chunks: list[bytes], max_bytes: int, *, pause: float = 0.0, seconds: float = 5.0) -> bytes:
    async def scenario() -> bytes:
        async with BodyReader(max_bytes).read(request(chunks, pause), deadline_in(seconds)) as body:
            return bytes(body)

    return asyncio.run(scenario())


def test_a_trickling_body_times_out() -> None:
    with pytest.raises(IncompleteBody, match="in time"):
        read([b"x"] * 100, 1000, pause=0.02, seconds=0.1)


def test_the_size_limit_is_exact() -> None:
    assert read([b"ab", b"cd"], 4) == b"abcd"
    with pytest.raises(TooLarge, match="at most 4 bytes"):
        read([b"ab", b"cde"], 4)


def decompress(content: bytes, max_bytes: int, encoding: str = "gzip") -> bytes:
    async def scenario() -> bytes:
        async with BodyReader(max_bytes).decompress(bytearray(content), encoding) as body:
            return bytes(body)

    return asyncio.run(scenario())


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1_000_000])
@pytest.mark.parametrize("level", [0, 9])
def test_a_body_is_decompressed_in_steps(size: int, level: int) -> None:
    content = random.Random(1).randbytes(size // 2) + b"x" * (size - size // 2)
    assert decompress(gzip.compress(content, level), 1_000_000) == content
    assert decompress(zlib.compress(content, level), 1_000_000, "Deflate") == content
    assert decompress(gzip.compress(content[:70_000]) + gzip.compress(content[70_000:]), 1_000_000) == content
    assert decompress(content, 1, "identity") == content


def test_the_size_limit_holds_after_decompression() -> None:
    compressed = gzip.compress(b"x" * 1000)
    assert decompress(compressed, 1000) == b"x" * 1000
    with pytest.raises(TooLarge, match="at most 999 bytes"):
        decompress(compressed, 999)


def test_a_decompressed_body_counts_towards_the_total() -> None:
    compressed = bytearray(gzip.compress(b"x" * 60))

    async def scenario() -> None:
        bodies = BodyReader(max_bytes=100, max_total_bytes=100)
        for _ in range(2):
            async with bodies.decompress(compressed, "gzip"):
                with pytest.raises(Overloaded):
                    async with bodies.decompress(compressed, "gzip"):
                        pass

    asyncio.run(scenario())


def test_a_small_body_cannot_fill_the_memory() -> None:
    bomb = zlib.compress(b"\0" * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            decompress(bomb, 1 << 20, "deflate")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 << 20


@pytest.mark.parametrize("damaged", [b"", b"x", b"\x1f\x8b", GZIPPED[:-4], GZIPPED + b"x"])
def test_damaged_compressed_data_is_unreadable(damaged: bytes) -> None:
    with pytest.raises(UnreadableBody):
        decompress(damaged, 1000)


def test_an_unsupported_encoding_is_named_with_those_that_are_supported() -> None:
    with pytest.raises(UnsupportedEncoding, match="'br': use gzip or deflate") as caught:
        decompress(b"{}", 1000, "br")
    assert caught.value.status == 415


def test_the_total_limit_is_enforced_and_memory_is_released() -> None:
    async def scenario() -> None:
        bodies = BodyReader(max_bytes=6, max_total_bytes=10)
        async with bodies.read(request([b"123456"]), deadline_in()):
            with pytest.raises(Overloaded, match="bytes"):
                async with bodies.read(request([b"123", b"45"]), deadline_in()):
                    pass
            with pytest.raises(IncompleteBody):
                async with bodies.read(request([b"1234", b"5"], pause=0.05), deadline_in(0.07)):
                    pass
            async with bodies.read(request([b"1234"]), deadline_in()) as last:
                assert last == b"1234"
        async with bodies.read(request([b"123456"]), deadline_in()):
            pass

    asyncio.run(scenario())


def test_the_largest_event_is_in_memory_once_encoded_and_once_decoded() -> None:
    data = b"x" * 10_000_000
    body = b'{"message":{"data":"%b"}}' % base64.b64encode(data)
    chunks = [body[start : start + 65536] for start in range(0, len(body), 65536)]

    async def scenario() -> int:
        tracemalloc.start()
        async with BodyReader(MAX_DELIVERY_BYTES).read(request(chunks), deadline_in()) as encoded:
            assert len(decode_push({}, encoded).data) == len(data)
        return tracemalloc.get_traced_memory()[1]

    try:
        peak = asyncio.run(scenario())
    finally:
        tracemalloc.stop()
    assert peak < 1.15 * len(body) + len(data) + 1_000_000, "a growing bytearray over-allocates by an eighth"


def test_an_event_larger_than_pubsub_allows_becomes_a_truncated_dead_letter(
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


def test_too_many_large_bodies_are_rejected_and_the_service_recovers(
    event_settings: dict[str, str],
) -> None:
    async def half_sent() -> Any:
        for _ in range(19):
            yield b"x" * 1_000_000
        await asyncio.sleep(1)
        yield b"x"

    async def scenario(client: httpx.AsyncClient) -> list[int]:
        senders = MAX_TOTAL_BYTES // 19_000_000 + 3
        responses = await asyncio.gather(*(client.post("/", content=half_sent()) for _ in range(senders)))
        after = await client.post("/", json={"message": {"data": "e30="}})
        assert after.status_code == 200
        return [response.status_code for response in responses]

    codes = call("predict_event", event_settings, scenario)
    assert set(codes) == {200, 503}
    assert codes.count(503) >= 3
