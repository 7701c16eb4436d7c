"""Runs an fp32 graph over images and keeps, of each tensor, only what a calibrator needs.

Everything is reduced inside the graph, behind the tensor: its smallest and largest value, or a regular sample
of its values. No activation is an output, so that memory does not grow with the number of tensors.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession
from tqdm import tqdm

from .. import threads
from ..errors import UserError
from .index import Index, copy_of
from .store import Store

Batches = Callable[[], Iterator[np.ndarray]]
Item, Result = TypeVar("Item"), TypeVar("Result")

# Runs at once, each on one thread; each takes memory of its own.
WORKERS = min(4, threads.available())

# Of a larger tensor only every k-th value goes into histograms, so that each image adds about this many.
SAMPLED = 65536


@dataclass(frozen=True)
class Extremes:
    """Of each float tensor that is computed, its smallest and largest value in each image: f32 [images, tensors].

    `embeddings` f32 [images, D] are the fp32 graph's own; `sha256` tells the images apart.
    """

    tensors: list[str]
    low: np.ndarray
    high: np.ndarray
    embeddings: np.ndarray
    sha256: str


def rows(batches: Batches, shape: list[int]) -> Iterator[np.ndarray]:
    """The images one by one, [1, ...]; a batch of another shape is the user's error."""
    for batch in batches():
        if list(batch.shape[1:]) != list(shape[1:]):
            raise UserError(
                f"calibration batch of shape {list(batch.shape)} does not fit the graph's input {list(shape)}"
            )
        for row in range(len(batch)):
            yield batch[row : row + 1]


def float_tensors(index: Index) -> list[str]:
    """The input, if it is float, and every float tensor that a node computes."""
    names = [value.name for value in index.model.graph.input]
    names += [name for node in index.model.graph.node for name in node.output]
    return [name for name in names if index.types.get(name) == TensorProto.FLOAT and name not in index.tensors]


def observe_extremes(store: Store, batches: Batches, progress: bool) -> Extremes:
    index = Index(store.light)
    tensors = float_tensors(index)
    watched = copy_of(store.light)
    outputs = [watched.graph.output[0].name]
    for name in tensors:
        for operator in ("ReduceMin", "ReduceMax"):
            outputs.append(f"{name}.{operator}")
            watched.graph.node.append(helper.make_node(operator, [name], [outputs[-1]], keepdims=0))
            watched.graph.output.append(helper.make_tensor_value_info(outputs[-1], TensorProto.FLOAT, []))
    session = store.session(watched)
    wanted = session.get_inputs()[0]
    digest = hashlib.sha256()

    def images() -> Iterator[np.ndarray]:
        for row in bar(rows(batches, wanted.shape), "ranges", None, progress):
            digest.update(np.ascontiguousarray(row).tobytes())
            yield row

    def extremes_of(row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        embedding, *values = session.run(outputs, {wanted.name: row})
        return embedding.reshape(-1), np.array(values, np.float32)

    seen = list(concurrently(extremes_of, images()))
    if not seen:
        raise UserError("there are no calibration images; give at least 16 that look like those of the later use")
    extremes = np.stack([values for _, values in seen])
    wrong = ~np.isfinite(extremes).all(0).reshape(-1, 2).all(1)
    if wrong.any():
        culprit = tensors[int(np.argmax(wrong))]
        raise UserError(f"the fp32 graph computes values that are not finite, first in tensor {culprit}")
    embeddings = np.stack([embedding for embedding, _ in seen])
    return Extremes(tensors, extremes[:, 0::2], extremes[:, 1::2], embeddings, digest.hexdigest())


def observe_samples(
    store: Store, tensors: list[str], batches: Batches, progress: bool, images: int
) -> Iterator[dict[str, np.ndarray]]:
    """For each image a sample f32 [about `SAMPLED`] of each of `tensors`, taken in regular steps."""
    index = Index(store.light)
    watched = copy_of(store.light)
    flat = numpy_helper.from_array(np.array([-1], np.int64), "sample.shape")
    zero, end = (
        numpy_helper.from_array(np.array([v], np.int64), n) for v, n in ((0, "sample.start"), (2**62, "sample.end"))
    )
    watched.graph.initializer.extend([flat, zero, end])
    steps: set[int] = set()
    for name in tensors:
        step = sampling_step(int(np.prod(index.shapes[name])), index.shapes[name])
        if step not in steps:
            steps.add(step)
            watched.graph.initializer.append(numpy_helper.from_array(np.array([step], np.int64), f"sample.step{step}"))
        watched.graph.node.append(helper.make_node("Reshape", [name, "sample.shape"], [f"{name}.flat"]))
        cut = [f"{name}.flat", "sample.start", "sample.end", "sample.start", f"sample.step{step}"]
        watched.graph.node.append(helper.make_node("Slice", cut, [f"{name}.sample"]))
        watched.graph.output.append(helper.make_tensor_value_info(f"{name}.sample", TensorProto.FLOAT, [None]))
    session = store.session(watched)
    wanted = session.get_inputs()[0]
    outputs = [f"{name}.sample" for name in tensors]
    for row in bar(rows(batches, wanted.shape), "histograms", images, progress):
        yield dict(zip(tensors, session.run(outputs, {wanted.name: row}), strict=True))


def sampling_step(size: int, shape: tuple[int, ...]) -> int:
    """The step that leaves about `SAMPLED` values and meets every channel: it has no factor in common with them."""
    step = max(1, size // SAMPLED)
    while step > 1 and any(np.gcd(step, dim) > 1 for dim in shape if dim > 1):
        step += 1
    return step


def embed(session: InferenceSession, chosen: Iterable[np.ndarray]) -> np.ndarray:
    """f32 [images, D]."""
    name = session.get_inputs()[0].name
    return np.stack(list(concurrently(lambda row: session.run(None, {name: row})[0].reshape(-1), chosen)))


def concurrently(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results in the order of the items, some made at once, of no more items than that taken beforehand."""
    with ThreadPoolExecutor(WORKERS) as pool:
        pending: deque = deque()
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > WORKERS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def bar(values: Iterable, words: str, total: int | None, progress: bool) -> Iterable:
    # On a terminal only: a bar in a log is noise.
    return tqdm(values, desc=words, total=total, disable=None if progress else True, unit="", leave=False)
