"""The limit of the pipe: how fast the Pub/Sub emulator confirms messages, asked as cheaply as can be."""

import asyncio
import time
from statistics import median
from typing import NamedTuple, Self

from google.pubsub_v1.types import PublishRequest, PubsubMessage
from grpc import aio  # type: ignore[import-untyped]

from benchmarks.wrk import Load

PUBLISH = "/google.pubsub.v1.Publisher/Publish"


class Call(NamedTuple):
    """A publish call, ready to be sent again and again."""

    request: bytes
    messages: int

    @classmethod
    def of(cls, topic: str, data: bytes, messages: int) -> Self:
        """A call that publishes the same message so many times."""
        request = PublishRequest(topic=topic, messages=[PubsubMessage(data=data)] * messages)
        return cls(PublishRequest.serialize(request), messages)


def load(emulator: str, call: Call, at_once: int, seconds: float) -> Load:
    """Publishes, so many calls under way at the same time.

    Args:
        emulator: `host:port`.

    Returns:
        Its `requests` are messages, its latencies those of a call.
    """
    return asyncio.run(_load(emulator, call, at_once, seconds))


async def _load(emulator: str, call: Call, at_once: int, seconds: float) -> Load:
    times: list[float] = []
    async with aio.insecure_channel(emulator) as channel:
        publish = channel.unary_unary(PUBLISH)  # bytes in, bytes out
        began = time.perf_counter()

        async def work() -> None:
            while (start := time.perf_counter()) < began + seconds:
                await publish(call.request)
                times.append(time.perf_counter() - start)

        await asyncio.gather(*(work() for _ in range(at_once)))
        took = time.perf_counter() - began
    times.sort()
    return Load(
        requests=len(times) * call.messages,
        seconds=took,
        p50_ms=median(times) * 1e3,
        p99_ms=times[len(times) * 99 // 100] * 1e3,
        refused=0,
        broken=0,
    )
