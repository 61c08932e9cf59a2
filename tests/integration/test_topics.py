"""The local cloud's topics on the real emulator, also on one that belongs to somebody else."""

import io
import queue

import pytest
from rich.console import Console

from jobs.events.publishers import open_inlet
from jobs.events.pubsub_clients import publisher_client, subscriber_client
from jobs.events.subscribers import open_outlet
from jobs.local.cloud import LocalCloud
from jobs.local.emulators import PubSub
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


def test_what_is_published_can_be_collected(pubsub: PubSub):
    topics = Topics(pubsub.host, "ridecast-topics")
    topics.create()
    arrived = queue.SimpleQueue()
    outlet = open_outlet(topics.predictions_pull, arrived.put, pubsub.host)
    inlet = open_inlet(topics.predictions, pubsub.host)

    inlet.send(b'{"prediction": {}}')
    inlet.finish()

    assert arrived.get(timeout=20).data == b'{"prediction": {}}'
    outlet.close()
    topics.delete()
    assert names(pubsub.host, "ridecast-topics") == []


def test_the_push_subscription_gives_an_event_up_only_after_many_tries_and_has_no_retry_policy(
    pubsub: PubSub,
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


def test_a_borrowed_emulator_is_given_back_as_it_was(pubsub: PubSub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)

    with LocalCloud(Screen(Console(file=io.StringIO()))) as cloud:
        cloud.start_pubsub()
        project = cloud.environment()["PUBSUB_PROJECT_ID"]
        assert project != "ridecast-local", "two runs may share one emulator"
        assert len(names(pubsub.host, project)) == 9

    assert names(pubsub.host, project) == []


def test_a_reader_misses_nothing_though_another_one_has_read_before(pubsub: PubSub):
    topics = Topics(pubsub.host, "ridecast-readers")
    topics.create()
    inlet = open_inlet(topics.predictions, pubsub.host)

    for _reader in range(3):
        arrived = queue.SimpleQueue()
        outlet = open_outlet(topics.predictions_pull, arrived.put, pubsub.host)
        for number in range(20):
            inlet.send(b"%d" % number)
        read = {arrived.get(timeout=5).data for _ in range(20)}
        outlet.close()
        assert read == {b"%d" % number for number in range(20)}

    inlet.finish()
    topics.delete()
