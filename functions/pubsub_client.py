"""Publishes to one Pub/Sub topic through Google's asyncio client, with retries and a time limit.

Importing this module takes a tenth of the start-up time, so it is imported while the model loads, or later.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import google.auth
from google.api_core import exceptions
from google.api_core.retry_async import AsyncRetry
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1.services.publisher import PublisherAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.types import PublishRequest
from grpc import aio  # type: ignore[import-untyped]

from functions.errors import MessageRejected, PublishFailed
from functions.pubsub_message import OutgoingMessage

CALL_SECONDS = 6.0
"""Time limit of one publish call with all its attempts; an event has less than 8 s in total."""
ATTEMPT_SECONDS = 4.5
"""Enough for a handshake and a call of 2 s each; with less, neither would ever complete there."""

_TRANSIENT = (exceptions.Aborted, exceptions.Cancelled, exceptions.ResourceExhausted, exceptions.ServerError)
# The library's default backoff grows to a minute: recovery from a 10 s outage took 68 s.
_RETRY = AsyncRetry(
    initial=0.1,
    multiplier=1.5,
    maximum=1.0,
    timeout=CALL_SECONDS,
    predicate=lambda error: isinstance(error, _TRANSIENT),
)


class TopicClient:
    """Publishes to one topic; for one event loop, created after any fork.

    Args:
        topic: `projects/P/topics/T`.
        emulator: `host:port` of a Pub/Sub emulator; empty for Google's Pub/Sub.
    """

    def __init__(self, topic: str, emulator: str) -> None:
        self._topic = topic
        self._emulator = emulator
        self._client: PublisherAsyncClient | None = None
        self._credentials: Credentials | None = None
        self._connect_lock = asyncio.Lock()
        self._opening: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Starts to connect ahead of the first message, unless connected or connecting.

        A failure is reported by `publish`.
        """
        if self._client is None and (self._opening is None or self._opening.done()):
            self._opening = asyncio.create_task(self._open())

    async def publish(self, messages: Sequence[OutgoingMessage]) -> None:
        """Returns when the topic has confirmed all messages.

        Raises:
            MessageRejected: Pub/Sub will never accept one of the messages.
            PublishFailed: some messages may not have been published.
        """
        try:
            request = PublishRequest(topic=self._topic)
            # Fills in the protobuf directly: the client's wrappers take eight times as long per message.
            protobuf = PublishRequest.pb(request)
            for message in messages:
                protobuf.messages.add(data=message.data, attributes=message.attributes)
        except (TypeError, ValueError) as error:
            raise MessageRejected(f"cannot encode a message for {self._topic}: {error}") from error
        try:
            # The retry checks its own timeout only between attempts.
            async with asyncio.timeout(CALL_SECONDS):
                await _RETRY(self._attempt)(request)
        except exceptions.InvalidArgument as error:
            raise MessageRejected(f"{self._topic} rejected the message: {error}") from error
        except TimeoutError:
            raise PublishFailed(f"{self._topic} did not confirm within {CALL_SECONDS:g} s") from None
        except (exceptions.GoogleAPIError, GoogleAuthError, OSError) as error:
            raise PublishFailed(f"{self._topic} did not confirm: {error}") from error

    async def _open(self) -> None:
        with suppress(Exception):  # the first message will meet the same error and report it
            client = await self._connected_client()
            client.transport.grpc_channel.get_state(try_to_connect=True)  # type: ignore[attr-defined]

    async def _attempt(self, request: PublishRequest) -> None:
        client = self._client or await self._connected_client()
        try:
            await client.publish(request, retry=None, timeout=ATTEMPT_SECONDS)
        except (exceptions.ServerError, asyncio.CancelledError):
            # Abandons a failed connection: gRPC's own backoff grows to two minutes, and it takes nearly a
            # minute to notice that the peer disappeared silently.
            self._client = None
            await client.transport.close()  # type: ignore[no-untyped-call]
            raise

    async def _connected_client(self) -> PublisherAsyncClient:
        async with self._connect_lock:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> PublisherAsyncClient:
        """A client with a connection of its own: gRPC would let the next client share a failed one."""
        own_connection = ("grpc.use_local_subchannel_pool", 1)
        transport = PublisherGrpcAsyncIOTransport
        if self._emulator:
            channel = aio.insecure_channel(self._emulator, [own_connection])
            return PublisherAsyncClient(transport=transport(channel=channel))
        if self._credentials is None:
            # May query the metadata server, which takes seconds where there is none.
            self._credentials, _ = await asyncio.to_thread(google.auth.default, transport.AUTH_SCOPES)

        def create_channel(host: str, *, options: Sequence[tuple[str, Any]], **kwargs: Any) -> aio.Channel:
            return transport.create_channel(host, options=[*options, own_connection], **kwargs)

        return PublisherAsyncClient(
            credentials=self._credentials, transport=partial(transport, channel=create_channel)
        )
