"""Publishing: what many messages at once come to, and what becomes of them when the topic does not answer."""

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
from functions.errors import PublishFailed, Refused
from functions.publisher import TopicPublisher
from functions.pubsub_client import Topic
from functions.pubsub_message import LONGEST_NAME, LONGEST_VALUE, OutMessage, takes

NAME = "projects/p/topics/t"


def publish_all(
    monkeypatch: pytest.MonkeyPatch, count: int, answer: Callable[[Sequence[OutMessage]], None]
) -> tuple[list[Any], int]:
    """What publishing so many at once gives each, and in how many calls, if the topic answers like that."""
    calls = 0

    async def publish(_self: Topic, messages: Sequence[OutMessage]) -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        answer(messages)

    async def story() -> list[Any]:
        publisher = TopicPublisher(NAME, "")
        messages = [OutMessage(b"%d" % number, {}) for number in range(count)]
        return await asyncio.gather(*map(publisher.publish, messages), return_exceptions=True)

    monkeypatch.setattr(Topic, "publish", publish)
    return asyncio.run(story()), calls


def test_what_is_published_at_once_goes_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    assert publish_all(monkeypatch, 100, lambda _: None) == ([None] * 100, 1)


def test_one_refused_message_is_found_in_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(messages: Sequence[OutMessage]) -> None:
        if any(message.data == b"77" for message in messages):
            raise Refused("77")

    results, calls = publish_all(monkeypatch, 400, answer)
    assert [number for number, result in enumerate(results) if result] == [77]
    assert calls <= 20


def test_a_bug_is_told_to_who_waits_and_the_next_message_goes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(messages: Sequence[OutMessage]) -> None:
        raise ZeroDivisionError

    results, _ = publish_all(monkeypatch, 3, answer)
    assert [type(result) for result in results] == [ZeroDivisionError] * 3
    assert publish_all(monkeypatch, 1, lambda _: None) == ([None], 1)


def test_looking_for_credentials_holds_up_nothing_and_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def look(_scopes: Sequence[str]) -> tuple[Any, str]:
        nonlocal looks
        looks += 1
        time.sleep(0.3)
        return AnonymousCredentials(), "p"

    async def story() -> None:
        topic = Topic(NAME, "")
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
    monkeypatch.setattr(google.auth, "default", look)
    asyncio.run(story())
    assert looks == 1


def test_a_topic_that_is_opened_connects_before_the_first_message() -> None:
    async def story() -> None:
        connected = asyncio.Event()

        async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set()
            writer.close()

        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            topic = Topic(NAME, f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
            topic.open()
            async with asyncio.timeout(10):
                await connected.wait()
            await (await topic._connected()).transport.close()  # type: ignore[no-untyped-call]

    asyncio.run(story())


def test_a_message_waits_for_the_connection_that_is_being_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = []

    async def connect(_self: Topic) -> Any:
        await asyncio.sleep(0.1)
        clients.append(Mock(publish=AsyncMock()))
        return clients[-1]

    async def story() -> None:
        topic = Topic(NAME, "")
        topic.open()
        await topic.publish([OutMessage(b"x", {})])

    monkeypatch.setattr(Topic, "_connect", connect)
    asyncio.run(story())
    (client,) = clients
    client.publish.assert_awaited_once()


@pytest.mark.parametrize(
    ("failure", "told", "sentence"),
    [
        (DefaultCredentialsError("none"), PublishFailed, "did not confirm: none"),
        (RuntimeError("a bug"), RuntimeError, "a bug"),
    ],
)
def test_a_topic_that_cannot_connect_opens_and_says_so_at_the_message(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, told: type[Exception], sentence: str
) -> None:
    def look(_scopes: Sequence[str]) -> tuple[Any, str]:
        raise failure

    async def story() -> None:
        topic = Topic(NAME, "")
        topic.open()
        assert topic._opening
        await topic._opening
        with pytest.raises(told, match=sentence):
            await topic.publish([OutMessage(b"x", {})])

    monkeypatch.setattr(google.auth, "default", look)
    asyncio.run(story())


def test_a_topic_is_opened_once_until_that_failed_or_its_connection_was_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = iter([OSError("no network"), None, None])
    clients: list[Any] = []

    async def connect(_self: Topic) -> Any:
        if error := next(ends):
            raise error
        clients.append(Mock(publish=AsyncMock(), transport=Mock(close=AsyncMock())))
        return clients[-1]

    async def opened(topic: Topic) -> int:
        """How many connections there have been after three openings, the first of them under way."""
        for _ in range(3):
            topic.open()
        assert len(asyncio.all_tasks()) <= 2, "one task opens, however often it is asked"
        assert topic._opening
        await topic._opening
        return len(clients)

    async def story() -> None:
        topic = Topic(NAME, "")
        assert [await opened(topic) for _ in range(3)] == [0, 1, 1]
        clients[0].publish.side_effect = [ServiceUnavailable("gone")]
        with pytest.raises(ServiceUnavailable):
            await topic._try(PublishRequest())
        assert [await opened(topic) for _ in range(2)] == [2, 2]

    monkeypatch.setattr(Topic, "_connect", connect)
    asyncio.run(story())


def test_importing_the_client_holds_up_nothing_and_all_get_the_same_topic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    imported = threading.Event()
    sent: list[tuple[Topic, int]] = []

    def new_topic(name: str, emulator: str) -> Topic:
        assert imported.wait(10)
        return Topic(name, emulator)

    async def publish(self: Topic, messages: Sequence[OutMessage]) -> None:
        sent.append((self, len(messages)))

    async def story() -> None:
        topic = TopicPublisher(NAME, "")
        waiting = [asyncio.create_task(topic.open()) for _ in range(2)]
        waiting.append(asyncio.create_task(topic.publish(OutMessage(b"x", {}))))
        await asyncio.sleep(0)  # the loop turns while the import goes on
        imported.set()
        await asyncio.gather(*waiting)
        await topic.publish(OutMessage(b"y", {}))
        assert sent == [(topic._topic, 1)] * 2

    monkeypatch.setattr(publisher, "_new_topic", new_topic)
    monkeypatch.setattr(Topic, "open", opened := Mock())
    monkeypatch.setattr(Topic, "publish", publish)
    asyncio.run(story())
    assert opened.call_count == 2


def test_a_client_that_cannot_be_imported_is_told_to_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with asyncio.timeout(10):
            await TopicPublisher(NAME, "").publish(OutMessage(b"x", {}))

    monkeypatch.setattr(publisher, "_new_topic", Mock(side_effect=ImportError("no grpc")))
    with pytest.raises(ImportError, match="no grpc"):
        asyncio.run(story())


def test_without_credentials_an_event_is_delivered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(_scopes: Sequence[str]) -> tuple[Any, str]:
        raise DefaultCredentialsError("none")

    monkeypatch.setattr(google.auth, "default", look)
    with pytest.raises(PublishFailed, match="did not confirm: none"):
        asyncio.run(Topic(NAME, "").publish([OutMessage(b"x", {})]))


def test_a_call_ends_in_its_time_whatever_its_tries_are_about(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []

    async def story() -> float:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        began = time.monotonic()
        with pytest.raises(PublishFailed):
            await Topic(NAME, f"127.0.0.1:{port}").publish([OutMessage(b"x", {})])
        seconds = time.monotonic() - began
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        return seconds

    monkeypatch.setattr(pubsub_client, "CALL_SECONDS", 0.5)  # less than a try
    assert asyncio.run(story()) < 1.5


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("trip", "7", True),
        ("", "7", False),
        ("n" * LONGEST_NAME, "v" * LONGEST_VALUE, True),
        ("n" * (LONGEST_NAME + 1), "7", False),
        ("trip", "ü" * LONGEST_VALUE, False),
        ("googclient", "7", False),
        ("Google", "7", False),
    ],
)
def test_an_attribute_is_one_that_pubsub_takes(name: str, value: str, taken: bool) -> None:
    assert takes(name, value) is taken
