"""Medians into ratios, bars and the table of src/docs/platforms.md; nothing here measures."""

from statistics import median

MARKS = ("<!-- peers -->\n", "<!-- end of peers -->\n")

PEERS = {
    "python-fp32": "Python, fp32",
    "python-int8": "Python, int8",
    "python-bare": "Python, int8, NumPy and ONNX Runtime alone",
    "fastembed-fp32": "fastembed-rs, fp32",
    "fastembed-int8": "fastembed-rs, int8",
    "fastembed-int8-own-resizer": "fastembed-rs, int8, resizer replaced",
    "clipgate": "clipgate",
    "clipgate-turbojpeg": "clipgate, feature `turbojpeg`",
    "clipgate-onnx": "clipgate, ONNX graph",
}
CASES = {
    "nv21": "1080p NV21 frame",
    "1080p.jpg": "1080p JPEG",
    "12mp.jpg": "12 MP JPEG",
    "fast:12mp.jpg": "12 MP JPEG, scaled decode",
    "12mp-soft.jpg": "soft 12 MP JPEG",
    "fast:12mp-soft.jpg": "soft 12 MP JPEG, scaled decode",
}
START, MEMORY = "start", "memory"

# (what, of whom, beside whom, times as fast or at most that share)
FASTER = (
    ("nv21", "clipgate", "python-fp32", "nv21", 3.2),
    ("nv21", "clipgate", "fastembed-fp32", "nv21", 3.2),
    ("nv21", "clipgate", "python-int8", "nv21", 1.5),
    ("nv21", "clipgate", "fastembed-int8", "nv21", 1.35),
    ("1080p.jpg", "clipgate-turbojpeg", "python-fp32", "1080p.jpg", 2.8),
    ("1080p.jpg", "clipgate-turbojpeg", "fastembed-fp32", "1080p.jpg", 2.8),
    ("1080p.jpg", "clipgate-turbojpeg", "python-int8", "1080p.jpg", 1.3),
    ("1080p.jpg", "clipgate-turbojpeg", "fastembed-int8", "1080p.jpg", 1.3),
    ("fast:12mp.jpg", "clipgate-turbojpeg", "python-fp32", "12mp.jpg", 3.8),
    ("fast:12mp.jpg", "clipgate-turbojpeg", "fastembed-fp32", "12mp.jpg", 3.8),
    ("fast:12mp-soft.jpg", "clipgate-turbojpeg", "python-fp32", "12mp-soft.jpg", 3.8),
    ("fast:12mp-soft.jpg", "clipgate-turbojpeg", "fastembed-fp32", "12mp-soft.jpg", 3.8),
)
START_SHARE = 0.60
MEMORY_SHARE = 1.6


def medians(samples: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    return {case: {peer: median(times) for peer, times in peers.items()} for case, peers in samples.items()}


def bars(figures: dict[str, dict[str, float]], files: dict[str, int]) -> list[dict]:
    """Each bar whose two sides were measured: what is asked, what was found, and whether it holds."""
    found = []
    for case, ours, other, others_case, least in FASTER:
        mine, theirs = figures.get(case, {}).get(ours), figures.get(others_case, {}).get(other)
        if mine and theirs:
            what = f"{CASES[case]}: {PEERS[ours]} faster than {PEERS[other]}"
            found.append({"what": what, "bar": f">= {least}x", "value": theirs / mine, "holds": theirs / mine >= least})
    start = figures.get(START, {})
    if "clipgate" in start and "python-bare" in start:
        share = start["clipgate"] / start["python-bare"]
        what = f"process start to first decision: clipgate beside {PEERS['python-bare']}"
        found.append({"what": what, "bar": f"<= {START_SHARE}x", "value": share, "holds": share <= START_SHARE})
    if "clipgate" in figures.get(MEMORY, {}):
        share = figures[MEMORY]["clipgate"] / files["clipgate"]
        what = "peak resident memory of clipgate beside its model file"
        found.append({"what": what, "bar": f"<= {MEMORY_SHARE}x", "value": share, "holds": share <= MEMORY_SHARE})
    return found


def markdown(result: dict) -> str:
    """The table, the bars below it, and on what they were measured."""
    figures = medians(result["samples"])
    columns = [case for case in CASES if case in figures]
    head = ["", *(f"{CASES[case]} (ms)" for case in columns), "start to first decision (ms)", "peak memory (MB)"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for peer, name in PEERS.items():
        if not any(peer in measured for measured in figures.values()):
            continue
        cells = [cell(figures[case], peer) for case in columns]
        start, memory = figures.get(START, {}), figures.get(MEMORY, {})
        rows.append([name, *cells, cell(start, peer, digits=0), memory_cell(memory, peer, result["files"])])
    lines = [markdown_row(row) for row in rows]
    asked = bars(figures, result["files"])
    checks = [["bar", "asked", "found", ""], ["---", "---:", "---:", "---"]]
    checks += [[bar["what"], bar["bar"], f"{bar['value']:.2f}x", "" if bar["holds"] else "missed"] for bar in asked]
    lines += ["", *(markdown_row(row) for row in checks)]
    return "\n".join([*lines, "", conditions(result)]) + "\n"


def markdown_row(cells: list[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def cell(measured: dict[str, float], peer: str, digits: int = 1) -> str:
    """Milliseconds, and how many times clipgate's."""
    if peer not in measured:
        return ""
    value, own = measured[peer], measured.get("clipgate")
    times = f" ({value / own:.2f}x)" if own and not peer.startswith("clipgate") else ""
    return f"{value:.{digits}f}{times}"


def memory_cell(measured: dict[str, float], peer: str, files: dict[str, int]) -> str:
    if peer not in measured:
        return ""
    return f"{measured[peer] / 1e6:.0f} ({measured[peer] / files[peer]:.1f}x its file)"


def conditions(result: dict) -> str:
    machine, versions = result["machine"], result["versions"]
    load = " to ".join(f"{value:.1f}" for value in machine["load"])
    clock = "" if result["time"] == "wall" else "Processor time, not time on the clock. "
    return (
        f"{clock}{machine['cpu']} ({machine['features']}), {machine['cores']} cores, load {load}, {result['threads']} "
        f"thread{'s' * (result['threads'] > 1)}; {result['date']}, clipgate {versions['clipgate']}, fastembed "
        f"{versions['fastembed']}, Python {versions['python']}, open_clip {versions['open_clip_torch']}, Pillow "
        f"{versions['pillow']}, OpenCV {versions['opencv-python-headless']}, ONNX Runtime {versions['onnxruntime']} "
        f"for all. Medians of {result['rounds']} rounds of {result['runs']} runs, and of {result['starts']} starts; "
        f"{result['labels']} labels."
    )


def insert(page: str, text: str) -> str:
    """`page` with what stands between the two marks replaced."""
    before, rest = page.split(MARKS[0], 1)
    after = rest.split(MARKS[1], 1)[1]
    return f"{before}{MARKS[0]}{text}{MARKS[1]}{after}"
