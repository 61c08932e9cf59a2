"""Pub/Sub clients, for an emulator or for Google Cloud; without `emulator`, PUBSUB_EMULATOR_HOST decides."""

import os

import grpc  # type: ignore[import-untyped]
from google.cloud import pubsub_v1  # type: ignore[attr-defined]  # it brings no types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport


def publisher_client(emulator: str = "") -> pubsub_v1.PublisherClient:
    """A client that sends each message immediately: batching would add to every measured latency."""
    unbatched = pubsub_v1.types.BatchSettings(max_messages=1)
    if not emulator:
        return pubsub_v1.PublisherClient(batch_settings=unbatched)
    transport = PublisherGrpcTransport(channel=grpc.insecure_channel(emulator))
    return pubsub_v1.PublisherClient(batch_settings=unbatched, transport=transport)


def subscriber_client(emulator: str = "") -> pubsub_v1.SubscriberClient:
    """A client without the 4 MB limit on what it receives from an emulator."""
    emulator = emulator or os.environ.get("PUBSUB_EMULATOR_HOST", "")
    if not emulator:
        return pubsub_v1.SubscriberClient()
    unlimited = [("grpc.max_receive_message_length", -1)]
    transport = SubscriberGrpcTransport(channel=grpc.insecure_channel(emulator, options=unlimited))
    return pubsub_v1.SubscriberClient(transport=transport)
