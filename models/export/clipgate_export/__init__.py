"""Trains, exports, quantises, calibrates and bundles clipgate's models."""

import os

# Microsoft's builds of ONNX Runtime send usage data unless told not to before they are loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
