"""What runs inside a function."""

import os

# Before anything imports onnxruntime, which otherwise writes a device id into HOME and reports to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# Before anything imports numpy: nothing here multiplies matrices, and the threads that OpenBLAS keeps ready
# for it turn idly for a tenth of a second.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Before anything imports google.cloud.storage, which otherwise asks in a thread of its own where a bucket is,
# for traces that nobody takes: one more request and connection while the model is fetched.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
