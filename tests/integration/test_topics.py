"""The local cloud's topics on the real emulator, including one started by someone else."""

import io
import queue

import pytest
from rich.console import Console

from jobs.events.publishers import open_publisher
from jobs.events.pubsub_clients import publisher_client, subscriber_client
from jobs.events.subscribers import open_subscriber
from jobs.local.cloud import LocalCloud
from jobs.local.emulators import PubSubEmulator
from jobs.local.screen import Screen
from jobs.local.topics import Topics


def names(emulator, project):
    """All topics and subscriptions of a project."""
    publisher = publisher_client(emulator)
    topics = [topic.name for topic in publisher.list_topics(project=f"projects/{project}")]
    publisher.stop()
    with subscriber_client(emulator) as subscriber:
        found = subscriber.list_subscriptions(project=f"projects/{project}")
        return topics + [subscription.name for subscription in found]


def test_published_events_are_received(pubsub: PubSubEmulator):
    topics = Topics(pubsub.host, "ridecast-topics")
    topics.create()
    received = queue.SimpleQueue()
    subscriber = open_subscriber(topics.predictions_pull, received.put, pubsub.host)
    publisher = open_publisher(topics.predictions, pubsub.host)

    publisher.send(b'{"prediction": {}}')
    publisher.finish()

    assert received.get(timeout=20).data == b'{"prediction": {}}'
    subscriber.close()
    topics.delete()
    assert names(pubsub.host, "ridecast-topics") == []


def test_the_push_subscription_dead_letters_after_many_attempts_and_has_no_retry_policy(
    pubsub: PubSubEmulator,
):
    topics = Topics(pubsub.host, "ridecast-push")
    topics.create()
    topics.push_to("http://127.0.0.1:9/")

    with subscriber_client(pubsub.host) as subscriber:
        push = subscriber.get_subscription(subscription=topics.push)

    assert push.push_config.push_endpoint == "http://127.0.0.1:9/"
    assert push.dead_letter_policy.dead_letter_topic == topics.dead_letters
    assert push.dead_letter_policy.max_delivery_attempts == 100
    assert "retry_policy" not in push
    assert push.ack_deadline_seconds >= 10
    topics.delete()


def test_a_shared_emulator_is_left_as_it_was(pubsub: PubSubEmulator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)

    with LocalCloud(Screen(Console(file=io.StringIO()))) as cloud:
        cloud.start_pubsub()
        project = cloud.addresses.environment()["PUBSUB_PROJECT_ID"]
        assert project != "ridecast-local", "two runs may share an emulator"
        assert len(names(pubsub.host, project)) == 9

    assert names(pubsub.host, project) == []


def test_a_subscriber_misses_nothing_after_another_one_has_closed(pubsub: PubSubEmulator):
    topics = Topics(pubsub.host, "ridecast-readers")
    topics.create()
    publisher = open_publisher(topics.predictions, pubsub.host)

    for _subscriber in range(3):
        received = queue.SimpleQueue()
        subscriber = open_subscriber(topics.predictions_pull, received.put, pubsub.host)
        for number in range(20):
            publisher.send(b"%d" % number)
        read = {received.get(timeout=5).data for _ in range(20)}
        subscriber.close()
        assert read == {b"%d" % number for number in range(20)}

    publisher.finish()
    topics.delete()
