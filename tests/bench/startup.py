"""Process start to first decision, and peak memory, beside a Python process that runs the same graph.

    cargo build --release
    python3 tests/bench/startup.py --bundle DIR [--onnx image_encoder.onnx] [--photo F]

Two processes take turns, each from a cold start with a warm page cache:

- `clipgate classify --bundle DIR PHOTO`: digests, self-test, decoding and the decision included;
- Python with numpy and onnxruntime alone (`--python`): the graph (`--onnx`, by default the bundle's own image encoder)
  on one thread, one run on drawn pixels; nothing is checked, decoded or decided.

The bars are ratios of one run: time as the median over the rounds, clipgate over Python (at most 0.60, the goal is
0.40); memory as clipgate's largest resident set over the size of the model's file (at most 1.6). `--memory private` and
a bundle of ONNX graphs show what mapping and the ORT format bring. Exit status 1 where a bar is missed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

TIME_BAR, MEMORY_BAR = 0.60, 1.6
PROJECT = Path(__file__).resolve().parents[2]
PEER = """
import sys
import numpy as np
import onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
entry = session.get_inputs()[0]
pixels = np.random.default_rng(0).standard_normal(entry.shape).astype(np.float32)
embedding = session.run(None, {entry.name: pixels})[0]
assert np.isfinite(embedding).all()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--onnx", type=Path, help="the graph that Python runs")
    parser.add_argument("--photo", type=Path, default=PROJECT / "examples/photos/coffee.jpg")
    parser.add_argument("--command", type=Path, default=PROJECT / "target/release/clipgate")
    parser.add_argument("--memory", choices=["mapped", "private"], default="mapped")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with numpy and onnxruntime")
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()

    manifest = json.loads((arguments.bundle / "manifest.json").read_text())
    model = arguments.bundle / manifest["image_encoder"]["file"]
    words = ["classify", "--bundle", arguments.bundle, "--model-memory", arguments.memory, arguments.photo]
    if "calibration" not in manifest:
        sys.exit(f"{arguments.bundle} has no calibration: nothing is decided without one")
    sides = {
        "clipgate": [arguments.command, *words],
        "python": [arguments.python, "-c", PEER, arguments.onnx or model],
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    peaks: dict[str, list[int]] = {name: [] for name in sides}
    for turn in range(arguments.rounds + 1):
        for name, command in sides.items():
            spent, peak = measure([str(word) for word in command])
            # The first turn fills the page cache.
            if turn:
                seconds[name].append(spent)
                peaks[name].append(peak)

    size = model.stat().st_size
    print(f"{model.name}, {size / 1e6:.1f} MB; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    for name in sides:
        times, peak = seconds[name], max(peaks[name])
        print(
            f"{name:<9} {1000 * statistics.median(times):6.0f} ms (fastest {1000 * min(times):.0f}), "
            f"peak {peak / 1e6:.1f} MB, {peak / size:.2f} of the file"
        )
    by_time = statistics.median(seconds["clipgate"]) / statistics.median(seconds["python"])
    fastest = min(seconds["clipgate"]) / min(seconds["python"])
    by_memory = max(peaks["clipgate"]) / size
    print(f"start to first decision: {by_time:.2f} of Python's (fastest {fastest:.2f}); bar {TIME_BAR:.2f}")
    print(f"peak memory: {by_memory:.2f} of the model's file; bar {MEMORY_BAR:.1f}")
    return 0 if by_time <= TIME_BAR and by_memory <= MEMORY_BAR else 1


def measure(command: list[str]) -> tuple[float, int]:
    """Seconds from start to end of a process, and its largest resident set in bytes."""
    # Workarounds for old OpenBLAS builds, which slow a current one.
    environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    spent = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{command[0]} failed: {said.decode(errors='replace')}")
    return spent, usage.ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
