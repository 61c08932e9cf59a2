"""Google's Pub/Sub clients, for an emulator or for Google's own."""

import os

import grpc  # type: ignore[import-untyped]
from google.cloud import pubsub_v1  # type: ignore[attr-defined]  # it brings no types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport


def publisher_client(emulator: str = "") -> pubsub_v1.PublisherClient:
    """Sends each message at once: waiting for company would add to every latency we measure."""
    at_once = pubsub_v1.types.BatchSettings(max_messages=1)
    if not emulator:
        return pubsub_v1.PublisherClient(batch_settings=at_once)
    transport = PublisherGrpcTransport(channel=grpc.insecure_channel(emulator))
    return pubsub_v1.PublisherClient(batch_settings=at_once, transport=transport)


def subscriber_client(emulator: str = "") -> pubsub_v1.SubscriberClient:
    """Google's client for the emulator, or for what the environment says."""
    emulator = emulator or os.environ.get("PUBSUB_EMULATOR_HOST", "")
    if not emulator:
        return pubsub_v1.SubscriberClient()
    # Of an emulator, unlike of Google's Pub/Sub, the client takes only 4 MB unless told otherwise.
    unlimited = [("grpc.max_receive_message_length", -1)]
    transport = SubscriberGrpcTransport(channel=grpc.insecure_channel(emulator, options=unlimited))
    return pubsub_v1.SubscriberClient(transport=transport)
