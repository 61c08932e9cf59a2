"""functions-framework with MLflow's pyfunc, which loads a model of any flavor."""

import os
from typing import Any

import functions_framework
import mlflow
import pandas as pd
from flask import Request

from benchmarks.peers.model import feature_encoder

model = mlflow.pyfunc.load_model(os.environ["MODEL_FOLDER"])
columns = model.metadata.get_input_schema().input_names()
features = feature_encoder(columns)


@functions_framework.http
def predict(request: Request) -> dict[str, Any]:
    """Predicts the minutes of a ride."""
    frame = pd.DataFrame(features(request.get_json()), columns=columns)
    return {"duration": float(model.predict(frame).iloc[0, 0])}
