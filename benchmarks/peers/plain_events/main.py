"""A plain Pub/Sub function: Flask mode, and Google's threaded publisher with its default batch settings,
which waits for every prediction to be confirmed."""

import base64
import json
import os

import functions_framework
from flask import Request
from google.cloud import pubsub_v1  # type: ignore[attr-defined]  # it has no type hints

from benchmarks.peers.model import load

predict_ride = load()
publisher = pubsub_v1.PublisherClient()
topic = os.environ["PREDICTIONS_TOPIC"]


@functions_framework.http
def predict_event(request: Request) -> str:
    """Publishes a prediction for a pushed ride event; returns after Pub/Sub has confirmed it."""
    event = json.loads(base64.b64decode(request.get_json()["message"]["data"]))
    prediction = {
        "model": "ride_duration_prediction_model",
        "version": "1",
        "prediction": {"ride_duration": predict_ride(event["ride"]), "ride_id": event["ride_id"]},
    }
    publisher.publish(topic, json.dumps(prediction).encode(), ride_id=str(event["ride_id"])).result()
    return "OK"
