"""How much faster an int8 graph is than its fp32 source, and how near to its bare matrix products.

    python -m clipgate_export.speed fp32.onnx int8.onnx
    python -m clipgate_export.speed fp32.onnx int8.onnx --operators

One process, one thread, ONNX Runtime on the CPU. The three take turns, so that a throttled machine slows them
alike; times are the thread's own CPU time, so that other work hardly shows. Each round's figure is the median of some
runs, each ratio the median over the rounds.
The bare products are MatMulInteger (QUInt8 by QInt8) of the int8 graph's own linear layers and convolutions:
as many distinct weights, the same shapes, nothing between them. Products of two activations are not among them.
With `--operators`, the share of each of ONNX Runtime's operators in the int8 graph's time.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, TensorProto, helper, numpy_helper

from .graph import Graph, drawn_input, one_thread
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


def operators(model: Path, runs: int = 20) -> dict[str, float]:
    """Each operator's share [0, 1] of one run's time, the largest first, by ONNX Runtime's own profile.

    Matrix products are told apart by what they multiply: one activation with weights, or two.
    """
    options = one_thread()
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0]
        row = drawn_input(entry, SEED)
        for _ in range(runs):
            session.run(None, {entry.name: row})
        events = json.loads(Path(session.end_profiling()).read_text())
    times: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            operator = event["args"]["op_name"]
            tensors = [shape for known in event["args"]["input_type_shape"] for shape in known.values() if shape]
            if "MatMul" in operator and len(tensors) > 1:
                operator += " of activations"
            times[operator, event["name"]].append(event["dur"])
    totals: dict[str, float] = defaultdict(float)
    for (operator, _), durations in times.items():
        totals[operator] += float(np.median(durations))
    whole = sum(totals.values())
    return {name: round(its / whole, 4) for name, its in sorted(totals.items(), key=lambda item: -item[1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fp32", type=Path)
    parser.add_argument("int8", type=Path)
    parser.add_argument("--runs", type=int, default=5, help="runs a round (default: 5)")
    parser.add_argument("--operators", action="store_true", help="each operator's share of the int8 graph's time")
    arguments = parser.parse_args()
    found = compare(arguments.fp32, arguments.int8, arguments.runs)
    if arguments.operators:
        found["operators"] = operators(arguments.int8)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
