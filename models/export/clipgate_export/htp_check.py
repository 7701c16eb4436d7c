"""Compiles a static-int8 QDQ graph for the Hexagon NPU (QNN HTP) and runs it in Qualcomm's emulator.

    pip install onnxruntime-qnn==2.7.0
    python -m clipgate_export.htp_check models/pocket/image_encoder.onnx

No device is needed: the provider's Linux x86-64 wheel holds the ahead-of-time compiler and the emulator.
Exit 1 if a node falls to the CPU, if there is more than one partition, or if the NPU's embedding lies
further than `--min-cosine` from the CPU's; 2 if there is no graph to compile.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from .errors import UserError, report_errors
from .external_data import check_external_data
from .graph import drawn_input, one_thread
from .onnx_files import fixed_shape, one_line, read_without_weights

PROVIDER = "QNNExecutionProvider"
ARCHITECTURE = "75"
SEED = 1


def check(model: Path, examples: np.ndarray | None = None, allow_cpu: bool = False) -> dict:
    """What the compiled graph consists of, and its cosine to the CPU's answer over `examples` [N, ...].

    Raises RuntimeError, with the provider's words, where a node cannot go to the NPU and `allow_cpu` is off, and
    UserError where there is no graph or no compiler.
    """
    graph = read_without_weights(model)
    check_external_data(model, graph)
    weights = {tensor.name for tensor in graph.graph.initializer}
    inputs = [value for value in graph.graph.input if value.name not in weights]
    if len(inputs) != 1 or len(graph.graph.output) != 1:
        raise UserError(f"{model}: {len(inputs)} inputs, {len(graph.graph.output)} outputs; give a tower of one each")
    fixed_shape(model, inputs[0])
    try:
        import onnxruntime_qnn as qnn
    except ImportError as error:
        raise UserError("the NPU's compiler is not installed: pip install onnxruntime-qnn==2.7.0") from error
    if not any(device.ep_name == PROVIDER for device in ort.get_ep_devices()):
        ort.register_execution_provider_library(PROVIDER, qnn.get_library_path())
    device = next(device for device in ort.get_ep_devices() if device.ep_name == PROVIDER)
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder) / "context.onnx"
        options = one_thread()
        options.add_session_config_entry("ep.context_enable", "1")
        options.add_session_config_entry("ep.context_file_path", str(context))
        options.add_session_config_entry("ep.context_embed_mode", "0")
        if not allow_cpu:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        # offload_graph_io_quantization 0 keeps the first Quantize and the last Dequantize on the NPU too.
        options.add_provider_for_devices(
            [device],
            {
                "backend_path": qnn.get_qnn_htp_path(),
                "htp_arch": ARCHITECTURE,
                "soc_model": "0",
                "offload_graph_io_quantization": "0",
            },
        )
        start = time.monotonic()
        try:
            npu = ort.InferenceSession(str(model), options)
        except Exception as error:
            raise RuntimeError(f"{model}: {one_line(error, 400)}") from error
        compile_s = time.monotonic() - start
        # Where nothing goes to the NPU there is no context.
        compiled = onnx.load(context, load_external_data=False) if context.exists() else graph
        operators = Counter(node.op_type for node in compiled.graph.node)
    cpu = ort.InferenceSession(str(model), one_thread(), providers=["CPUExecutionProvider"])
    wanted = cpu.get_inputs()[0]
    if examples is None:
        examples = drawn_input(wanted, SEED)
    cosines = []
    start = time.monotonic()
    for row in range(len(examples)):
        feed = {wanted.name: examples[row : row + 1]}
        a, b = npu.run(None, feed)[0].ravel(), cpu.run(None, feed)[0].ravel()
        cosines.append(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
    return {
        "architecture": f"htp-v{ARCHITECTURE}",
        "partitions": operators["EPContext"],
        "nodes_on_cpu": sum(operators.values()) - operators["EPContext"],
        "operators": dict(sorted(operators.items())),
        "compile_s": round(compile_s, 1),
        "emulated_s": round((time.monotonic() - start) / len(examples), 1),
        "examples": len(examples),
        "mean_cosine_to_cpu": round(float(np.mean(cosines)), 5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--allow-cpu", action="store_true", help="only count the nodes that fall to the CPU")
    parser.add_argument("--min-cosine", type=float, default=0.98)
    arguments = parser.parse_args()
    try:
        report = check(arguments.model, allow_cpu=arguments.allow_cpu)
    except RuntimeError as error:
        sys.exit(f"htp_check: {error}")
    print(json.dumps(report, indent=1))
    whole = report["partitions"] == 1 and report["nodes_on_cpu"] == 0
    if (not arguments.allow_cpu and not whole) or not report["mean_cosine_to_cpu"] >= arguments.min_cosine:
        sys.exit(1)


if __name__ == "__main__":
    report_errors(main)
