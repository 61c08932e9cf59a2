"""A Pub/Sub function the plain way: Flask mode, Google's threaded publisher with its own batch settings,
and every prediction waited for."""

import base64
import json
import os

import functions_framework
from flask import Request
from google.cloud import pubsub_v1  # type: ignore[attr-defined]  # it brings no types

from benchmarks.peers.model import load

predict_ride = load()
publisher = pubsub_v1.PublisherClient()
topic = os.environ["PREDICTIONS_TOPIC"]


@functions_framework.http
def predict_event(request: Request) -> str:
    """A pushed ride event becomes a prediction event, which Pub/Sub has when this returns."""
    event = json.loads(base64.b64decode(request.get_json()["message"]["data"]))
    prediction = {
        "model": "ride_duration_prediction_model",
        "version": "1",
        "prediction": {"ride_duration": predict_ride(event["ride"]), "ride_id": event["ride_id"]},
    }
    publisher.publish(topic, json.dumps(prediction).encode(), ride_id=str(event["ride_id"])).result()
    return "OK"
