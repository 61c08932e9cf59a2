"""Publishing: what many messages at once come to, and what becomes of them when the topic does not answer."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import AsyncMock, Mock

import google.auth
import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError

from functions import pubsub
from functions.errors import PublishFailed
from functions.messages import LONGEST_NAME, LONGEST_VALUE, OutMessage, takes
from functions.publisher import TopicPublisher
from functions.pubsub import Refused, Topic

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


def test_a_topic_without_credentials_opens_and_says_so_at_the_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look(_scopes: Sequence[str]) -> tuple[Any, str]:
        raise DefaultCredentialsError("none")

    async def story() -> None:
        topic = Topic(NAME, "")
        topic.open()
        assert topic._opening
        await topic._opening
        with pytest.raises(PublishFailed, match="did not confirm: none"):
            await topic.publish([OutMessage(b"x", {})])

    monkeypatch.setattr(google.auth, "default", look)
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

    monkeypatch.setattr(pubsub, "CALL_SECONDS", 0.5)  # less than a try
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
