"""The upper limit for events: how fast the Pub/Sub emulator confirms messages from a minimal client."""

import asyncio
import time
from statistics import median
from typing import NamedTuple, Self

from google.pubsub_v1.types import PublishRequest, PubsubMessage
from grpc import aio  # type: ignore[import-untyped]

from benchmarks.wrk import Load

PUBLISH = "/google.pubsub.v1.Publisher/Publish"


class PublishCall(NamedTuple):
    """A serialized publish call, which can be sent any number of times."""

    request: bytes
    messages: int

    @classmethod
    def of(cls, topic: str, data: bytes, messages: int) -> Self:
        """A call that publishes the same message several times."""
        request = PublishRequest(topic=topic, messages=[PubsubMessage(data=data)] * messages)
        return cls(PublishRequest.serialize(request), messages)


def load(emulator: str, call: PublishCall, in_flight: int, seconds: float) -> Load:
    """Publishes with a fixed number of calls in flight.

    Args:
        emulator: `host:port`.

    Returns:
        The load; its `requests` count messages, its latencies are those of one call.
    """
    return asyncio.run(_load(emulator, call, in_flight, seconds))


async def _load(emulator: str, call: PublishCall, in_flight: int, seconds: float) -> Load:
    times: list[float] = []
    async with aio.insecure_channel(emulator) as channel:
        publish = channel.unary_unary(PUBLISH)  # bytes in, bytes out
        began = time.perf_counter()

        async def work() -> None:
            while (start := time.perf_counter()) < began + seconds:
                await publish(call.request)
                times.append(time.perf_counter() - start)

        await asyncio.gather(*(work() for _ in range(in_flight)))
        elapsed = time.perf_counter() - began
    times.sort()
    return Load(
        requests=len(times) * call.messages,
        seconds=elapsed,
        p50_ms=median(times) * 1e3,
        p99_ms=times[len(times) * 99 // 100] * 1e3,
        refused=0,
        broken=0,
    )
