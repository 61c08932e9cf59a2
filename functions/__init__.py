"""Everything that runs inside a function."""

import os

__version__ = "1.0.0"

# Must precede any import of onnxruntime, which otherwise writes a device id to HOME and sends telemetry.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# Must precede any import of numpy: nothing here multiplies matrices, and OpenBLAS's idle threads spin for a
# tenth of a second.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Must precede any import of google.cloud.storage, which otherwise looks up each bucket's location in a
# background thread, for traces that nobody collects: another request and connection while a model loads.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
