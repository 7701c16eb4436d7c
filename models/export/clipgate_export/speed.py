"""How much faster an int8 graph is than its fp32 source, and how near to its bare matrix products.

    python -m clipgate_export.speed fp32.onnx int8.onnx

One process, one thread, ONNX Runtime on the CPU. The three take turns, so that a throttled machine slows them
alike; times are the thread's own CPU time, so that other work hardly shows. Each round's figure is the median of some
runs, each ratio the median over the rounds.
The bare products are MatMulInteger (QUInt8 by QInt8) of the int8 graph's own linear layers and convolutions:
as many distinct weights, the same shapes, nothing between them. Products of two activations are not among them.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from .graph import Graph, drawn_input
from .onnx_files import bytes_on_disk
from .onnx_model import IR_VERSION, OPSET
from .quantization.index import Index, attribute

ROUNDS = 5
SEED = 20261123


def products(model: ModelProto) -> list[tuple[int, int, int]]:
    """(M, K, N) of every product with constant weights, for one input; a convolution counts as its im2col product."""
    index = Index(model)

    def is_weight(name: str) -> bool:
        maker = index.producer.get(name)
        return name in index.tensors or (maker is not None and maker.input[0] in index.tensors)

    found = []
    for node in model.graph.node:
        if node.op_type not in ("MatMul", "Gemm", "Conv") or not is_weight(node.input[1]):
            continue
        out, weight = index.shapes[node.output[0]], index.shapes[node.input[1]]
        if node.op_type == "Conv":
            if attribute(node, "group", 1) == 1:
                found.append((int(np.prod(out[2:])), int(np.prod(weight[1:])), weight[0]))
        else:
            inner = weight[-1] if attribute(node, "transB", 0) else weight[-2]
            found.append((int(np.prod(out[:-1])), inner, out[-1]))
    return found


def bare(sizes: list[tuple[int, int, int]]) -> tuple[ModelProto, dict[str, np.ndarray]]:
    """A graph of these products and nothing else, with random weights, and its inputs."""
    draw = np.random.default_rng(SEED)
    nodes, weights, outputs = [], [], []
    feed: dict[str, np.ndarray] = {}
    zero = numpy_helper.from_array(np.uint8(128), "zero_point")
    for place, (m, k, n) in enumerate(sizes):
        name = f"rows_{m}x{k}"
        feed.setdefault(name, draw.integers(0, 256, (m, k), np.uint8))
        weights.append(numpy_helper.from_array(draw.integers(-127, 128, (k, n), np.int8), f"weight_{place}"))
        nodes.append(helper.make_node("MatMulInteger", [name, f"weight_{place}", "zero_point"], [f"product_{place}"]))
        outputs.append(helper.make_tensor_value_info(f"product_{place}", TensorProto.INT32, [m, n]))
    inputs = [helper.make_tensor_value_info(name, TensorProto.UINT8, rows.shape) for name, rows in feed.items()]
    graph = helper.make_graph(nodes, "bare", inputs, outputs, [zero, *weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION), feed


def median_ms(run: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        start = time.thread_time()
        run()
        times.append(time.thread_time() - start)
    return float(np.median(times) * 1000)


def compare(fp32: Path, int8: Path, runs: int = 5) -> dict:
    """Milliseconds and ratios, medians over `ROUNDS` interleaved rounds of `runs` runs each."""
    quantized = onnx.load(int8)
    sizes = products(quantized)
    bare_model, bare_feed = bare(sizes)
    graphs = {"fp32": Graph(fp32), "int8": Graph(quantized), "bare": Graph(bare_model)}
    row = drawn_input(graphs["int8"].session.get_inputs()[0], SEED)

    def runner(name: str) -> Callable[[], object]:
        session, feed = graphs[name].session, bare_feed if name == "bare" else {graphs[name].input_name: row}
        return lambda: session.run(None, feed)

    runners = {name: runner(name) for name in graphs}
    for run in runners.values():
        median_ms(run, 3)
    rounds = [{name: median_ms(run, runs) for name, run in runners.items()} for _ in range(ROUNDS)]
    return {
        "ms": {name: round(float(np.median([r[name] for r in rounds])), 2) for name in graphs},
        "int8_times_faster_than_fp32": round(float(np.median([r["fp32"] / r["int8"] for r in rounds])), 2),
        "int8_over_bare_products": round(float(np.median([r["int8"] / r["bare"] for r in rounds])), 2),
        "products": len(sizes),
        "multiplications": sum(m * k * n for m, k, n in sizes),
        "file_share_of_fp32": round(bytes_on_disk(int8) / bytes_on_disk(fp32), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fp32", type=Path)
    parser.add_argument("int8", type=Path)
    parser.add_argument("--runs", type=int, default=5, help="runs a round (default: 5)")
    arguments = parser.parse_args()
    print(json.dumps(compare(arguments.fp32, arguments.int8, arguments.runs), indent=1))


if __name__ == "__main__":
    main()
