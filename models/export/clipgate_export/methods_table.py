"""`clipgate-export table`: every way to quantise, on pocket's trained towers, in one table of models/README.md.

    clipgate-export table --data ../../../shared/data --work ../../build/pocket --bundle ../pocket -o ../README.md

Speed is a ratio of medians: in every round each graph runs right after the fp32 one, in one process on one thread.
"""

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .bundle import to_json
from .errors import UserError
from .files import write_bytes
from .graph import Graph
from .judging import Readout, accuracy_drop, area_under_roc, expected_calibration_error
from .pocket_tasks import WORK, Seen, Task, read_tasks
from .quantization.engine import quantize
from .quantization.recipe import Recipe
from .table_report import FP32, NEGLIGIBLE, Figures, TowerTable, render, replace_between_markers

ROUNDS, REPEATS = 7, 30
RANGE_IMAGES = 300
MIXED_TARGET = 0.9999
# The seed of the rotation of the residual stream.
ROTATION = 20261123
MAX_DROP, MIN_COSINE = 0.02, 0.99

# The simpler and faster before the others: of those that make no difference the first is recommended.
RECIPES: dict[str, Recipe] = {
    "MinMax": Recipe(),
    "percentile 99.9": Recipe("percentile", 99.9),
    "percentile 99.99": Recipe("percentile", 99.99),
    "percentile 99.999": Recipe("percentile", 99.999),
    "image quantile 99": Recipe("quantile", 99.0),
    "image quantile 90": Recipe("quantile", 90.0),
    "entropy": Recipe("entropy"),
    "SmoothQuant 0.25": Recipe(smooth_alpha=0.25),
    "SmoothQuant 0.5": Recipe(smooth_alpha=0.5),
    "SmoothQuant 0.75": Recipe(smooth_alpha=0.75),
    "SmoothQuant 0.5, percentile 99.99": Recipe("percentile", 99.99, smooth_alpha=0.5),
    "MinMax, per channel": Recipe(per_channel=True),
    "percentile 99.99, per channel": Recipe("percentile", 99.99, per_channel=True),
    "entropy, per channel": Recipe("entropy", per_channel=True),
    "mixed with fp32": Recipe(target_cosine=MIXED_TARGET),
    "mixed with 16 bits": Recipe(target_cosine=MIXED_TARGET, fallback_bits=16),
    "w8a16": Recipe(activation_bits=16),
    "rotated": Recipe(rotation=ROTATION),
    "MinMax, w4": Recipe(weight_bits=4),
    "MinMax, per channel, w4": Recipe(per_channel=True, weight_bits=4),
    "rotated, w4": Recipe(rotation=ROTATION, weight_bits=4),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="the data folder (see models/README.md)")
    parser.add_argument("--work", type=Path, required=True, help="what clipgate_export.pocket left: the fp32 graphs")
    parser.add_argument("--bundle", type=Path, required=True, help="models/pocket: splits, label bank, OOD score")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the Markdown file with the table's markers")
    parser.add_argument("--range-images", type=int, default=RANGE_IMAGES, help="images that set ranges (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="F", help="write the figures as JSON too")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the int8 graphs here")


def run(arguments: argparse.Namespace) -> int:
    """Writes the table between its markers; 0, or 1 where no method holds both bars on a tower."""
    text = _read(arguments.output)
    for path in (*(arguments.work / name for name in WORK), arguments.bundle / "labels.safetensors"):
        if not path.is_file():
            raise UserError(f"{path}: no such file; make it with python -m clipgate_export.pocket")
    try:
        tasks = read_tasks(arguments.data, arguments.bundle, arguments.work, arguments.range_images)
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename or error}: no such file; --data names the folder with the test sets"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        tables = [measure(task, RECIPES, arguments.keep or Path(folder)) for task in tasks]
    write_bytes(arguments.output, replace_between_markers(text, render(tables), arguments.output).encode())
    if arguments.json is not None:
        write_bytes(arguments.json, to_json([asdict(table) for table in tables]))
    for table in tables:
        print(f"{table.tower} tower: {table.recommended or 'no method holds both bars'}", file=sys.stderr)
    return 0 if all(table.recommended for table in tables) else 1


def measure(task: Task, recipes: dict[str, Recipe], folder: Path, rounds: int = ROUNDS) -> TowerTable:
    """Quantises by every recipe into `folder`, looks at each graph once, then times them in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    reference = task.see(Graph(task.fp32))
    readout = Readout(task.logit_scale)
    fp32_temperature = readout.fit_temperature(reference.cosines["temperature"], task.classes["temperature"])
    paths, kept, seen = {FP32: task.fp32}, {FP32: 0}, {FP32: reference}
    for name, recipe in tqdm(recipes.items(), desc=f"{task.tower} tower", unit="method", disable=None):
        paths[name] = folder / f"{task.tower}-{name.replace(' ', '_').replace(',', '')}.onnx"
        kept[name] = quantize(task.fp32, task.batches, recipe, paths[name], progress=False).kept
        seen[name] = task.see(Graph(paths[name]))
    speeds = interleaved_speeds({name: Graph(path) for name, path in paths.items()}, task.example, rounds)
    rows = [
        figures(
            task,
            name,
            recipes.get(name),
            (reference, seen[name]),
            fp32_temperature,
            speeds[name],
            paths[name].stat().st_size / task.fp32.stat().st_size,
            kept[name],
        )
        for name in paths
    ]
    return TowerTable(task.tower, len(task.classes["reporting"]), task.fp32.stat().st_size, rows, recommend(rows))


def figures(
    task: Task,
    method: str,
    recipe: Recipe | None,
    seen: tuple[Seen, Seen],
    fp32_temperature: float,
    speed: float,
    size: float,
    kept: int,
) -> Figures:
    """`seen` is what fp32 and what this graph makes of the task."""
    reference, own = seen
    readout = Readout(task.logit_scale)
    drops = {
        role: accuracy_drop(*(graph.cosines[role].labels.argmax(1) == task.classes[role] for graph in seen))
        for role in ("choosing", "reporting")
    }
    cosines, classes = own.cosines["reporting"], task.classes["reporting"]
    right = cosines.labels.argmax(1) == classes
    temperature = readout.fit_temperature(own.cosines["temperature"], task.classes["temperature"])
    inside = readout.ood_scores(cosines)[task.ood_score]
    likeness = (own.reporting * reference.reporting).sum(1)
    choosing_cosine = float((own.choosing * reference.choosing).sum(1).mean())
    whole = recipe is not None and recipe.activation_bits == recipe.weight_bits == 8 and kept == 0
    return Figures(
        method=method,
        candidate=whole and drops["choosing"].upper <= MAX_DROP and choosing_cosine >= MIN_COSINE,
        accuracy=float(right.mean()),
        drop=drops["reporting"],
        ece_before=expected_calibration_error(readout.confidence(cosines, fp32_temperature), right),
        ece=expected_calibration_error(readout.confidence(cosines, temperature), right),
        nll=readout.nll(cosines, classes, temperature),
        auroc={
            name: area_under_roc(inside, readout.ood_scores(own.cosines[name])[task.ood_score]) for name in task.outside
        },
        cosine=float(likeness.mean()),
        cosine_p1=float(np.quantile(likeness, 0.01)),
        speed=speed,
        size=size,
        kept=kept,
        choosing_drop=drops["choosing"],
        choosing_cosine=choosing_cosine,
    )


def interleaved_speeds(
    graphs: dict[str, Graph], example: np.ndarray, rounds: int, progress: bool = True
) -> dict[str, float]:
    """fp32's median time over each graph's, the median of `rounds` pairs that ran one after the other."""
    ratios: dict[str, list[float]] = {name: [] for name in graphs}
    for _ in tqdm(range(rounds), desc="speed", unit="round", disable=None if progress else True):
        for name, graph in graphs.items():
            reference = graphs[FP32].median_ms(example, REPEATS)
            ratios[name].append(1.0 if name == FP32 else reference / graph.median_ms(example, REPEATS))
    return {name: float(np.median(found)) for name, found in ratios.items()}


def recommend(rows: list[Figures]) -> str | None:
    """Of the candidates the first whose mean cosine is within `NEGLIGIBLE` of the best, by the choosing images.

    Figures of the reporting images have no say.
    """
    candidates = [row for row in rows if row.candidate]
    best = max((row.choosing_cosine for row in candidates), default=0.0)
    return next((row.method for row in candidates if row.choosing_cosine >= best - NEGLIGIBLE), None)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; -o names a Markdown file with the table's markers") from error
