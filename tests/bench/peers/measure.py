"""Measures clipgate beside Python and fastembed-rs: same frames, graphs, ONNX Runtime and threads, in one run.

Each peer is a process that loads its model once and then waits. They take turns, some runs each and many rounds, so
that a busy machine disturbs all alike; the figures are medians. Every decision is the whole way: frame or file,
embedding, cosines with the bundle's labels, the best label. A start is a process of its own, from before it is started
to its first decision, with the files in the page cache; its peak memory is that process's VmHWM.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path

import inputs
import table
from python_peer import read_bank

PROJECT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
BINARIES = PROJECT / "target" / "peers" / "release"
PAGE = PROJECT / "src" / "docs" / "platforms.md"
# What int8 kernels are chosen by.
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "asimddp", "i8mm", "sve")
# Peers resample a little differently; further apart than this they do not compute the same.
FARTHEST = 0.05
EXACT = ("nv21", "1080p.jpg", "12mp.jpg", "12mp-soft.jpg")


@dataclass
class Peer:
    name: str
    command: list[str]
    bundle: Path
    # What its memory is compared with, and what a peer without bundles executes.
    graph: Path
    cases: tuple[str, ...] = EXACT
    # What its start is measured on, if it is.
    start: str | None = None
    process: subprocess.Popen | None = None
    times: dict[str, list[float]] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--bundle", type=Path, required=True, help="by clipgate-export bundle, with labels and calibration"
    )
    parser.add_argument(
        "--ort", type=Path, required=True, metavar="BUNDLE", help="the same by clipgate-export ort-format"
    )
    parser.add_argument(
        "--fp32", type=Path, required=True, metavar="ONNX", help="the fp32 image graph it was made from"
    )
    parser.add_argument("--threads", type=int, default=1, help="of every peer (default: 1)")
    parser.add_argument("--rounds", type=int, default=12, help="default: 12")
    parser.add_argument("--runs", type=int, default=3, help="decisions a peer makes in each round (default: 3)")
    parser.add_argument("--starts", type=int, default=15, help="process starts of each peer, 0 for none (default: 15)")
    parser.add_argument(
        "--time",
        choices=("wall", "processor"),
        default="wall",
        help="on the clock (default), or of the processor, which other work on the machine disturbs less",
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="peers whose name holds this, clipgate beside them")
    parser.add_argument(
        "--json", type=Path, default=HERE / "result.json", help="every sample (default: result.json here)"
    )
    parser.add_argument("--print", action="store_true", help="print the table and leave page and JSON alone")
    arguments = parser.parse_args()
    frames = PROJECT / "target" / "peers" / "frames"
    inputs.make(PROJECT / "examples" / "photos", frames)

    load = [os.getloadavg()[0]]
    everyone = [peer for peer in peers(arguments) if arguments.only in peer.name or peer.name.startswith("clipgate")]
    result = {
        "date": date.today().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "time": arguments.time,
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "runs": arguments.runs,
        "starts": arguments.starts,
        "labels": len(read_bank(arguments.bundle / "labels.safetensors")[0]),
        "files": {peer.name: size(peer.graph) for peer in everyone},
        "samples": measure(everyone, frames, arguments),
    }
    result["machine"]["load"] = [*load, os.getloadavg()[0]]
    text = table.markdown(result)
    print(text)
    if not arguments.print:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
        PAGE.write_text(table.insert(PAGE.read_text(), text))


def peers(arguments: argparse.Namespace) -> list[Peer]:
    """All of them, in the order in which they take turns."""
    onnx, ort = ((bundle, image_graph(bundle)) for bundle in (arguments.bundle, arguments.ort))
    fp32 = (arguments.bundle, arguments.fp32)
    python = [sys.executable, str(HERE / "python_peer.py")]
    fastembed = [str(BINARIES / "peer-fastembed")]
    clipgate = [str(BINARIES / "peer-clipgate")]
    # Where cmake and nasm were there to build it.
    turbo = f"{clipgate[0]}-turbojpeg"
    fast = ("fast:12mp.jpg", "fast:12mp-soft.jpg")
    return [
        Peer("python-fp32", python, *fp32, start="nv21"),
        Peer("fastembed-fp32", fastembed, *fp32, start="nv21"),
        Peer("python-int8", python, *onnx, EXACT + fast, start="nv21"),
        Peer("fastembed-int8", fastembed, *onnx, start="nv21"),
        Peer("fastembed-int8-own-resizer", [*fastembed, "--own-resizer"], *onnx),
        Peer("clipgate", clipgate, *ort, EXACT + fast, start="nv21"),
        *([Peer("clipgate-turbojpeg", [turbo], *ort, EXACT[1:] + fast)] if Path(turbo).exists() else []),
        Peer("clipgate-onnx", clipgate, *onnx, ("nv21",), start="nv21"),
        Peer("python-bare", [*python, "--bare"], *onnx, (), start="pixel_values"),
    ]


def image_graph(bundle: Path) -> Path:
    return bundle / json.loads((bundle / "manifest.json").read_text())["image_encoder"]["file"]


def size(graph: Path) -> int:
    """Bytes of a graph, with the file beside it that holds its weights, if there is one."""
    return sum(path.stat().st_size for path in (graph, graph.with_suffix(".data")) if path.exists())


def measure(everyone: list[Peer], frames: Path, arguments: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Samples by case and peer: milliseconds, and bytes for the memory."""
    samples: dict[str, dict[str, list[float]]] = {}

    def keep(case: str, peer: Peer, values: list[float]) -> None:
        samples.setdefault(case, {}).setdefault(peer.name, []).extend(values)

    starting = [peer for peer in everyone if peer.start]
    for number in range(arguments.starts + 1 if arguments.starts else 0):
        for peer in starting:
            ms, answer = start(peer, frames, arguments)
            # The first brings the files into the page cache.
            if number > 0:
                keep(table.START, peer, [ms])
                keep(table.MEMORY, peer, [1024.0 * answer["peak_rss_kb"]])
        progress(f"start {number} of {arguments.starts}")

    working = [peer for peer in everyone if peer.cases]
    try:
        for peer in working:
            peer.process = subprocess.Popen(
                command(peer, frames, arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment(arguments),
            )
            expect_ready(peer)
        for case in table.CASES:
            answers = {}
            for number in range(arguments.rounds + 1):
                for peer in (peer for peer in working if case in peer.cases):
                    answers[peer.name] = ask(peer, case, arguments.runs)
                    # The first warms up.
                    if number > 0:
                        keep(case, peer, answers[peer.name][arguments.time])
                progress(f"{case}: round {number} of {arguments.rounds}")
            agree(case, answers)
    finally:
        for peer in working:
            if peer.process:
                peer.process.stdin.close()
                peer.process.wait(timeout=60)
    return samples


def command(peer: Peer, frames: Path, arguments: argparse.Namespace) -> list[str]:
    given = {"bundle": peer.bundle, "graph": peer.graph, "frames": frames, "threads": arguments.threads}
    return [*peer.command, *(part for name, value in given.items() for part in (f"--{name}", str(value)))]


def environment(arguments: argparse.Namespace) -> dict[str, str]:
    """One ONNX Runtime for all, Python's own; no pool of threads beside the one that is asked for."""
    pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    # Kernels of NumPy that some machines' settings slow down.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS_", "ORT_"))}
    return kept | dict.fromkeys(pools, str(arguments.threads)) | {"ORT_DYLIB_PATH": str(runtime())}


def runtime() -> Path:
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent / "capi"
    return next(folder.glob("libonnxruntime.so.*"))


def start(peer: Peer, frames: Path, arguments: argparse.Namespace) -> tuple[float, dict]:
    """Milliseconds to the first decision, and that; of the processor, to the end of the process right after it."""
    parts = [*command(peer, frames, arguments), "--once", peer.start]
    begin = time.perf_counter()
    process = subprocess.Popen(parts, stdout=subprocess.PIPE, text=True, env=environment(arguments))
    answer = process.stdout.readline()
    elapsed = time.perf_counter() - begin
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{peer.name}: exit {process.returncode}")
    seconds = elapsed if arguments.time == "wall" else used.ru_utime + used.ru_stime
    return seconds * 1e3, json.loads(answer)


def expect_ready(peer: Peer) -> None:
    if peer.process.stdout.readline().strip() != "ready":
        sys.exit(f"{peer.name} did not start")


def ask(peer: Peer, case: str, runs: int) -> dict:
    peer.process.stdin.write(f"{case} {runs}\n")
    peer.process.stdin.flush()
    answer = peer.process.stdout.readline()
    if not answer:
        sys.exit(f"{peer.name} ended on {case}")
    return json.loads(answer)


def agree(case: str, answers: dict[str, dict]) -> None:
    """Every peer of one graph must have done the same work."""
    for graph in ("fp32", "int8"):
        told = {
            name: answer["similarity"] for name, answer in answers.items() if name.endswith("fp32") == (graph == "fp32")
        }
        if told and max(told.values()) - min(told.values()) > FARTHEST:
            sys.exit(f"{case}: the peers do not compute the same with the {graph} graph: {told}")


def machine() -> dict:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    return {
        "cpu": facts.get("model name", platform.machine()),
        "features": " ".join(name for name in FEATURES if name in flags) or "none of the int8 features",
        "cores": os.cpu_count(),
    }


def versions() -> dict[str, str]:
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True)
    known = {name: version(name) for name in ("onnxruntime", "open_clip_torch", "pillow", "opencv-python-headless")}
    lock = (HERE / "Cargo.lock").read_text()
    fastembed = lock.split('name = "fastembed"\nversion = "', 1)[1].split('"', 1)[0]
    return known | {"python": platform.python_version(), "fastembed": fastembed, "clipgate": commit.stdout.strip()}


def progress(text: str) -> None:
    print(f"\r{text:60}", end="" if sys.stderr.isatty() else "\n", file=sys.stderr)


if __name__ == "__main__":
    main()
