"""functions-framework and MLflow's pyfunc: the model is loaded as MLflow's pages say, whatever its flavor."""

import os
from typing import Any

import functions_framework
import mlflow
import pandas as pd
from flask import Request

from benchmarks.peers.model import features_of

model = mlflow.pyfunc.load_model(os.environ["MODEL_FOLDER"])
columns = model.metadata.get_input_schema().input_names()
features = features_of(columns)


@functions_framework.http
def predict(request: Request) -> dict[str, Any]:
    """A ride's minutes."""
    frame = pd.DataFrame(features(request.get_json()), columns=columns)
    return {"duration": float(model.predict(frame).iloc[0, 0])}
