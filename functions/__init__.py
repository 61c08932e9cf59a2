"""What runs inside a function."""

import os

# Before anything imports onnxruntime, which otherwise writes a device id into HOME and reports to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
