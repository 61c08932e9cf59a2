"""The course's web service: Flask behind gunicorn, one worker."""

from typing import Any

from flask import Flask, request

from benchmarks.peers.model import load

app = Flask("duration-prediction")
predict_ride = load()


@app.post("/predict")
def predict() -> dict[str, Any]:
    """Predicts the minutes of a ride."""
    return {"duration": predict_ride(request.get_json())}
