"""Publishing: batches of concurrent messages, and topics that do not respond."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import AsyncMock, Mock

import google.auth
import pytest
from google.api_core.exceptions import ServiceUnavailable
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from google.pubsub_v1.types import PublishRequest

from functions import publisher, pubsub_client
from functions.errors import MessageRejected, PublishFailed
from functions.publisher import TopicPublisher
from functions.pubsub_client import TopicClient
from functions.pubsub_message import (
    MAX_ATTRIBUTE_NAME_BYTES,
    MAX_ATTRIBUTE_VALUE_BYTES,
    OutgoingMessage,
    is_valid_attribute,
)

NAME = "projects/p/topics/t"


def publish_all(
    monkeypatch: pytest.MonkeyPatch, count: int, respond: Callable[[Sequence[OutgoingMessage]], None]
) -> tuple[list[Any], int]:
    """Publishes `count` messages concurrently: the result of each, and the number of calls."""
    calls = 0

    async def publish(_self: TopicClient, messages: Sequence[OutgoingMessage]) -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        respond(messages)

    async def scenario() -> list[Any]:
        publisher = TopicPublisher(NAME, "")
        messages = [OutgoingMessage(b"%d" % number, {}) for number in range(count)]
        return await asyncio.gather(*map(publisher.publish, messages), return_exceptions=True)

    monkeypatch.setattr(TopicClient, "publish", publish)
    return asyncio.run(scenario()), calls


def test_concurrent_messages_are_published_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    assert publish_all(monkeypatch, 100, lambda _: None) == ([None] * 100, 1)


def test_one_rejected_message_is_found_in_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    def respond(messages: Sequence[OutgoingMessage]) -> None:
        if any(message.data == b"77" for message in messages):
            raise MessageRejected("77")

    results, calls = publish_all(monkeypatch, 400, respond)
    assert [number for number, result in enumerate(results) if result] == [77]
    assert calls <= 20


def test_a_bug_is_raised_in_publish_and_does_not_stop_later_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    def respond(messages: Sequence[OutgoingMessage]) -> None:
        raise ZeroDivisionError

    results, _ = publish_all(monkeypatch, 3, respond)
    assert [type(result) for result in results] == [ZeroDivisionError] * 3
    assert publish_all(monkeypatch, 1, lambda _: None) == ([None], 1)


def test_credentials_are_found_once_and_without_blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    lookups = 0

    def find_credentials(_scopes: Sequence[str]) -> tuple[Any, str]:
        nonlocal lookups
        lookups += 1
        time.sleep(0.3)
        return AnonymousCredentials(), "p"

    async def scenario() -> None:
        topic = TopicClient(NAME, "")
        connecting = asyncio.create_task(topic._connect())
        steps = 0
        while not connecting.done():
            await asyncio.sleep(0.01)
            steps += 1
        assert steps > 10
        for client in (await connecting, await topic._connect()):
            assert client.transport.host == "pubsub.googleapis.com:443"
            await client.transport.close()

    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setattr(google.auth, "default", find_credentials)
    asyncio.run(scenario())
    assert lookups == 1


def test_open_connects_before_the_first_message() -> None:
    async def scenario() -> None:
        connected = asyncio.Event()

        async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set()
            writer.close()

        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            topic = TopicClient(NAME, f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
            topic.open()
            async with asyncio.timeout(10):
                await connected.wait()
            await (await topic._connected_client()).transport.close()  # type: ignore[no-untyped-call]

    asyncio.run(scenario())


def test_publish_waits_for_the_connection_being_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = []

    async def connect(_self: TopicClient) -> Any:
        await asyncio.sleep(0.1)
        clients.append(Mock(publish=AsyncMock()))
        return clients[-1]

    async def scenario() -> None:
        topic = TopicClient(NAME, "")
        topic.open()
        await topic.publish([OutgoingMessage(b"x", {})])

    monkeypatch.setattr(TopicClient, "_connect", connect)
    asyncio.run(scenario())
    (client,) = clients
    client.publish.assert_awaited_once()


@pytest.mark.parametrize(
    ("failure", "raised", "message"),
    [
        (DefaultCredentialsError("none"), PublishFailed, "did not confirm: none"),
        (RuntimeError("a bug"), RuntimeError, "a bug"),
    ],
)
def test_publish_reports_that_open_failed(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, raised: type[Exception], message: str
) -> None:
    def find_credentials(_scopes: Sequence[str]) -> tuple[Any, str]:
        raise failure

    async def scenario() -> None:
        topic = TopicClient(NAME, "")
        topic.open()
        assert topic._opening
        await topic._opening
        with pytest.raises(raised, match=message):
            await topic.publish([OutgoingMessage(b"x", {})])

    monkeypatch.setattr(google.auth, "default", find_credentials)
    asyncio.run(scenario())


def test_open_connects_once_and_again_after_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcomes = iter([OSError("no network"), None, None])
    clients: list[Any] = []

    async def connect(_self: TopicClient) -> Any:
        if error := next(outcomes):
            raise error
        clients.append(Mock(publish=AsyncMock(), transport=Mock(close=AsyncMock())))
        return clients[-1]

    async def connection_count(topic: TopicClient) -> int:
        """The number of connections so far, after calling `open` three times."""
        for _ in range(3):
            topic.open()
        assert len(asyncio.all_tasks()) <= 2, "a single task connects, however often `open` is called"
        assert topic._opening
        await topic._opening
        return len(clients)

    async def scenario() -> None:
        topic = TopicClient(NAME, "")
        assert [await connection_count(topic) for _ in range(3)] == [0, 1, 1]
        clients[0].publish.side_effect = [ServiceUnavailable("gone")]
        with pytest.raises(ServiceUnavailable):
            await topic._attempt(PublishRequest())
        assert [await connection_count(topic) for _ in range(2)] == [2, 2]

    monkeypatch.setattr(TopicClient, "_connect", connect)
    asyncio.run(scenario())


def test_importing_the_client_does_not_block_and_creates_one_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import_done = threading.Event()
    sent: list[tuple[TopicClient, int]] = []

    def create_client(name: str, emulator: str) -> TopicClient:
        assert import_done.wait(10)
        return TopicClient(name, emulator)

    async def publish(self: TopicClient, messages: Sequence[OutgoingMessage]) -> None:
        sent.append((self, len(messages)))

    async def scenario() -> None:
        topic_publisher = TopicPublisher(NAME, "")
        waiting = [asyncio.create_task(topic_publisher.open()) for _ in range(2)]
        waiting.append(asyncio.create_task(topic_publisher.publish(OutgoingMessage(b"x", {}))))
        await asyncio.sleep(0)  # the event loop runs during the import
        import_done.set()
        await asyncio.gather(*waiting)
        await topic_publisher.publish(OutgoingMessage(b"y", {}))
        assert sent == [(topic_publisher._client, 1)] * 2

    monkeypatch.setattr(publisher, "_create_client", create_client)
    monkeypatch.setattr(TopicClient, "open", opened := Mock())
    monkeypatch.setattr(TopicClient, "publish", publish)
    asyncio.run(scenario())
    assert opened.call_count == 2


def test_a_failed_import_of_the_client_is_raised_in_publish(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(10):
            await TopicPublisher(NAME, "").publish(OutgoingMessage(b"x", {}))

    monkeypatch.setattr(publisher, "_create_client", Mock(side_effect=ImportError("no grpc")))
    with pytest.raises(ImportError, match="no grpc"):
        asyncio.run(scenario())


def test_without_credentials_an_event_is_delivered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_credentials(_scopes: Sequence[str]) -> tuple[Any, str]:
        raise DefaultCredentialsError("none")

    monkeypatch.setattr(google.auth, "default", find_credentials)
    with pytest.raises(PublishFailed, match="did not confirm: none"):
        asyncio.run(TopicClient(NAME, "").publish([OutgoingMessage(b"x", {})]))


@pytest.mark.alone
def test_a_publish_call_ends_within_its_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ignore(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []

    async def scenario() -> float:
        server = await asyncio.start_server(ignore, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        began = time.monotonic()
        with pytest.raises(PublishFailed):
            await TopicClient(NAME, f"127.0.0.1:{port}").publish([OutgoingMessage(b"x", {})])
        seconds = time.monotonic() - began
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        return seconds

    monkeypatch.setattr(pubsub_client, "CALL_SECONDS", 0.5)  # less than one attempt
    assert asyncio.run(scenario()) < 1.5


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("trip", "7", True),
        ("", "7", False),
        ("n" * MAX_ATTRIBUTE_NAME_BYTES, "v" * MAX_ATTRIBUTE_VALUE_BYTES, True),
        ("n" * (MAX_ATTRIBUTE_NAME_BYTES + 1), "7", False),
        ("trip", "ü" * MAX_ATTRIBUTE_VALUE_BYTES, False),
        ("googclient", "7", False),
        ("Google", "7", False),
    ],
)
def test_which_attributes_pubsub_accepts(name: str, value: str, accepted: bool) -> None:
    assert is_valid_attribute(name, value) is accepted
