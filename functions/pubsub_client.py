"""One Pub/Sub topic through Google's asyncio client: one publish call with its tries, within its time.

Importing this takes a tenth of a start, so it is imported while the model is being loaded, or later.
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

from functions.errors import PublishFailed, Refused
from functions.pubsub_message import OutMessage

CALL_SECONDS = 6.0
"""For one publish call with all its tries; an event's whole handling has less than 8."""
TRY_SECONDS = 4.5
"""Time for a handshake and a call where each takes 2 s; a shorter try would never get through there."""

_PASSES = (exceptions.Aborted, exceptions.Cancelled, exceptions.ResourceExhausted, exceptions.ServerError)
# The library's own waits grow to a minute: a 10 s outage took 68 s to heal.
_RETRY = AsyncRetry(
    initial=0.1,
    multiplier=1.5,
    maximum=1.0,
    timeout=CALL_SECONDS,
    predicate=lambda error: isinstance(error, _PASSES),
)


class Topic:
    """Publishes to one topic; for one event loop, made after any fork.

    Args:
        name: `projects/P/topics/T`.
        emulator: `host:port` of a Pub/Sub emulator; empty is Google's Pub/Sub.
    """

    def __init__(self, name: str, emulator: str) -> None:
        self._name = name
        self._emulator = emulator
        self._client: PublisherAsyncClient | None = None
        self._credentials: Credentials | None = None
        self._connecting = asyncio.Lock()
        self._opening: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begins to connect ahead of the first message, unless that is begun or done.

        If it cannot be, `publish` says why.
        """
        if self._client is None and (self._opening is None or self._opening.done()):
            self._opening = asyncio.create_task(self._open())

    async def publish(self, messages: Sequence[OutMessage]) -> None:
        """Returns when the topic has confirmed all messages.

        Raises:
            Refused: one of them is nothing that Pub/Sub takes.
            PublishFailed: they are not known to be safe.
        """
        try:
            request = PublishRequest(topic=self._name)
            # Written below the client's own wrappers, through which a message takes eight times as long.
            bare = PublishRequest.pb(request)
            for message in messages:
                bare.messages.add(data=message.data, attributes=message.attributes)
        except (TypeError, ValueError) as error:
            raise Refused(f"{self._name} cannot be sent the message: {error}") from error
        try:
            # The retry looks at its own time only between two tries.
            async with asyncio.timeout(CALL_SECONDS):
                await _RETRY(self._try)(request)
        except exceptions.InvalidArgument as error:
            raise Refused(f"{self._name} refuses the message: {error}") from error
        except TimeoutError:
            raise PublishFailed(f"{self._name} did not confirm within {CALL_SECONDS:g} s") from None
        except (exceptions.GoogleAPIError, GoogleAuthError, OSError) as error:
            raise PublishFailed(f"{self._name} did not confirm: {error}") from error

    async def _open(self) -> None:
        with suppress(Exception):  # a message meets it again, and who sent that is told
            client = await self._connected()
            client.transport.grpc_channel.get_state(try_to_connect=True)  # type: ignore[attr-defined]

    async def _try(self, request: PublishRequest) -> None:
        client = self._client or await self._connected()
        try:
            await client.publish(request, retry=None, timeout=TRY_SECONDS)
        except (exceptions.ServerError, asyncio.CancelledError):
            # A connection that failed is left: gRPC's own waits to mend it grow to two minutes, and it
            # takes nearly one to see that the other side has gone without a word.
            self._client = None
            await client.transport.close()  # type: ignore[no-untyped-call]
            raise

    async def _connected(self) -> PublisherAsyncClient:
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> PublisherAsyncClient:
        """A client with a connection of its own: gRPC would share one that failed with the next client."""
        own = ("grpc.use_local_subchannel_pool", 1)
        transport = PublisherGrpcAsyncIOTransport
        if self._emulator:
            return PublisherAsyncClient(
                transport=transport(channel=aio.insecure_channel(self._emulator, [own]))
            )
        if self._credentials is None:
            # Looking for them asks the machine's metadata server, which takes seconds where it is silent.
            self._credentials, _ = await asyncio.to_thread(google.auth.default, transport.AUTH_SCOPES)

        def open_channel(host: str, *, options: Sequence[tuple[str, Any]], **more: Any) -> aio.Channel:
            return transport.create_channel(host, options=[*options, own], **more)

        return PublisherAsyncClient(
            credentials=self._credentials, transport=partial(transport, channel=open_channel)
        )
