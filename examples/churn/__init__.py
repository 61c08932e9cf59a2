"""Customer churn: the batch job on a table that has nothing to do with rides."""

import os

# Prefect's client sends telemetry from the moment it is imported.
os.environ.setdefault("DO_NOT_TRACK", "1")
