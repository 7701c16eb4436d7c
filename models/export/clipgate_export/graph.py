"""ONNX graphs run the way every figure of the card is made: ONNX Runtime, CPU, one thread."""

import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import ModelProto

from . import cpu
from .preprocess import normalise

# ONNX Runtime's numbers of its log levels.
ERRORS, FATAL_ONLY = 3, 4
SMALLEST_VOCABULARY = 1000


class Graph:
    """A graph of one input and one output row, [1, ...] to [1, D]."""

    def __init__(self, model: ModelProto | bytes | Path) -> None:
        content = model.SerializeToString() if isinstance(model, ModelProto) else model
        self.session = ort.InferenceSession(content, one_thread(), providers=["CPUExecutionProvider"])
        self.input_name = self.session.get_inputs()[0].name

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Unit embeddings f32 [N, D], one row at a time."""
        outputs = [self.session.run(None, {self.input_name: rows[i : i + 1]})[0][0] for i in range(len(rows))]
        return unit(np.stack(outputs))

    def embed_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Unit image embeddings of preprocessed uint8 [N, H, W, 3]."""
        return np.concatenate([self(normalise(pixels[i : i + 1])) for i in range(len(pixels))])

    def median_ms(self, row: np.ndarray, repeats: int = 100) -> float:
        """Median time of one run in milliseconds, after ten to warm up.

        It is this thread's CPU time, and the only thread's: what else the machine does hardly shows.
        """
        times = []
        for repeat in range(repeats + 10):
            start = time.thread_time()
            self.session.run(None, {self.input_name: row})
            if repeat >= 10:
                times.append(time.thread_time() - start)
        return float(np.median(times) * 1000)


def one_thread(severity: int = ERRORS) -> ort.SessionOptions:
    """Of a session that answers the same whatever else runs, and logs what is as grave as `severity`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = severity
    # As src/session.rs: on x86 without VNNI the usual kernels' 16-bit sums of int8 products saturate.
    if not cpu.has_vnni():
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def drawn_input(entry: ort.NodeArg, seed: int) -> np.ndarray:
    """An input that the graph accepts: normal numbers f32, or token ids i64 that every vocabulary has."""
    draw = np.random.default_rng(seed)
    if entry.type == "tensor(float)":
        return draw.standard_normal(entry.shape).astype(np.float32)
    return draw.integers(0, SMALLEST_VOCABULARY, entry.shape)


def unit(embeddings: np.ndarray) -> np.ndarray:
    """Rows of unit length, f32: norm and division in f64, then rounded once."""
    wide = embeddings.astype(np.float64)
    norms = np.linalg.norm(wide, axis=-1, keepdims=True)
    if not np.isfinite(norms).all() or (norms == 0).any():
        raise ValueError("an embedding is zero or not finite")
    return (wide / norms).astype(np.float32)
