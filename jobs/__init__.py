"""What runs outside a function: training, promotion, replay and the local cloud."""

import os

# MLflow's client sends telemetry from the moment it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
