"""No topic has a schema, because Avro's JSON cannot express the ride events."""

import json

import grpc
import pytest
from google.api_core.exceptions import InvalidArgument
from google.pubsub_v1.services.publisher import PublisherClient
from google.pubsub_v1.services.publisher.transports.grpc import PublisherGrpcTransport
from google.pubsub_v1.services.schema_service import SchemaServiceClient
from google.pubsub_v1.services.schema_service.transports.grpc import SchemaServiceGrpcTransport
from google.pubsub_v1.types import Encoding, PubsubMessage, Schema, SchemaSettings, Topic

from jobs.local.emulators import PubSubEmulator

RIDE_EVENT = {
    "type": "record",
    "name": "RideEvent",
    "fields": [
        {
            "name": "ride",
            "type": {
                "type": "record",
                "name": "Ride",
                "fields": [
                    {"name": "PULocationID", "type": "int"},
                    {"name": "DOLocationID", "type": "int"},
                    {"name": "trip_distance", "type": "double"},
                ],
            },
        },
        {"name": "ride_id", "type": ["long", "string"]},
    ],
}


def test_a_schema_would_refuse_the_course_s_event(pubsub: PubSubEmulator) -> None:
    project = "projects/ridecast-schemas"
    with grpc.insecure_channel(pubsub.host) as channel:
        schemas = SchemaServiceClient(transport=SchemaServiceGrpcTransport(channel=channel))
        schema = Schema(type_=Schema.Type.AVRO, definition=json.dumps(RIDE_EVENT))
        created = schemas.create_schema(parent=project, schema=schema, schema_id="ride-event")
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        topic = f"{project}/topics/with-schema"
        settings = SchemaSettings(schema=created.name, encoding=Encoding.JSON)
        publisher.create_topic(Topic(name=topic, schema_settings=settings))

        def publish(ride_id: object) -> None:
            ride = {"PULocationID": 130, "DOLocationID": 205, "trip_distance": 3.66}
            data = json.dumps({"ride": ride, "ride_id": ride_id}).encode()
            publisher.publish(topic=topic, messages=[PubsubMessage(data=data)], timeout=30)

        publish({"long": 256})  # Avro's JSON encoding of a union
        for ride_id in (256, "256"):
            with pytest.raises(InvalidArgument):
                publish(ride_id)
        publisher.delete_topic(topic=topic)
