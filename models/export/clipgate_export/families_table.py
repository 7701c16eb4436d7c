"""Every family at full size with drawn weights, from its name to clipgate's answer: a table of models/README.md.

    python -m clipgate_export.families_table --photos ../../../shared/data/photos-imagenet-sample.tar \\
        --command ../../target/release/clipgate --work ../../build/families -o ../README.md [NAME...]

For each: parity of the fp32 graphs with the library that the model comes from, `clipgate-export bundle`, int8 against
fp32 on photos that set no ranges, speed, `clipgate verify`, `clipgate classify`. What is measured lies in the work
folder, a file a family, and is measured again only where that is gone. The photos are dealt out into folders as if
these were labels: drawn weights know none.
"""

import argparse
import gc
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from . import sources, speed
from .bundle import IMAGE_ENCODER, to_json
from .bundle_options import RANGE_IMAGES
from .errors import UserError, report_errors
from .files import write_bytes
from .images import ImageFolder, image_paths
from .table_report import between
from .verification import Bars, check

BEGIN = "<!-- table of families: begin (written by `python -m clipgate_export.families_table`) -->"
END = "<!-- table of families: end -->"
LABELS = ("cat", "school bus", "teapot")
PARITY_PHOTOS = 16
SIGLIP_TOKENIZER = Path(__file__).parents[3] / "tests" / "data" / "unigram" / "tokenizer.json"
# Rounds of speed's comparison have this many runs.
RUNS = 3


@dataclass(frozen=True)
class Family:
    """`name` is open_clip's, or that of a model of which a Hugging Face folder is made."""

    name: str
    hugging_face: bool = False
    # What open_clip does by default, where the published weights differ.
    preprocessing: bool = False


FAMILIES = (
    Family("TinyCLIP-ViT-8M-16-Text-3M", hugging_face=True),
    Family("ViT-B-32-quickgelu"),
    Family("RN50"),
    Family("MobileCLIP-S1"),
    Family("MobileCLIP-S2"),
    Family("ViT-B-16"),
    Family("ViT-B-16-SigLIP"),
    Family("ViT-L-14", preprocessing=True),
)


@dataclass(frozen=True)
class Row:
    """One family. Cosines: the least of parity's, plain and centred, of images and texts; of int8 to fp32 the mean,
    the centred mean and the worst centred over `judged` photos that set no ranges; `alike` as in
    `Likeness`. `seconds` and `cpu` and `peak_gb` are those of `clipgate-export bundle`.
    """

    name: str
    parity: tuple[float, float, float, float]
    alike: float
    judged: int
    cosine: float
    centred: float
    worst: float
    method: str
    kept: int
    size: float
    faster: float
    seconds: float
    cpu: float
    peak_gb: float
    verified: bool
    classifies: bool


def measure(family: Family, arguments: argparse.Namespace) -> Row:
    work = arguments.work / family.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    photos = photo_folder(arguments)
    source = source_words(family, work, arguments.seed)
    parity = alone(parity_of, family, source, work, photos)
    bundle, fp32 = work / "bundle", work / "fp32"
    words = ["bundle", *source, "--images", str(photos), "-o", str(bundle), "--keep-fp32", str(fp32)]
    start = time.monotonic()
    making = subprocess.Popen([sys.executable, "-m", "clipgate_export", *words])
    _, status, usage = os.wait4(making.pid, 0)
    making.returncode = os.waitstatus_to_exitcode(status)
    if making.returncode != 0:
        raise UserError(f"{family.name}: `clipgate-export {' '.join(words)}` failed, see above")
    seconds = time.monotonic() - start
    judged, cosine, centred, worst, alike = alone(judge, bundle, fp32 / "image_fp32.onnx", photos)
    speeds = alone(speed.compare, fp32 / "image_fp32.onnx", bundle / IMAGE_ENCODER, RUNS)
    manifest = json.loads((bundle / "manifest.json").read_text())
    recipe = manifest["recipe"]["image"]
    asked = [str(file) for file in image_paths(photos)[:3]]
    verified = clipgate(arguments, "verify", str(bundle)).returncode == 0
    done = clipgate(arguments, "classify", "--format", "json", "--bundle", str(bundle), *asked)
    classifies = done.returncode == 0 and len(done.stdout.splitlines()) == len(asked)
    shutil.rmtree(fp32)
    return Row(
        name=family.name,
        parity=parity,
        alike=alike,
        judged=judged,
        cosine=cosine,
        centred=centred,
        worst=worst,
        method=recipe["method"],
        kept=len(recipe["kept_in_float"]),
        size=speeds["file_share_of_fp32"],
        faster=speeds["int8_times_faster_than_fp32"],
        seconds=seconds,
        cpu=usage.ru_utime + usage.ru_stime,
        peak_gb=usage.ru_maxrss / 1e6,
        verified=verified,
        classifies=classifies,
    )


def alone(work: object, *values: object) -> object:
    """In a process of its own, which gives its memory back."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *values).result()


def clipgate(arguments: argparse.Namespace, *words: str) -> subprocess.CompletedProcess:
    done = subprocess.run([str(arguments.command), *words], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"clipgate {' '.join(words)}:\n{done.stdout}{done.stderr}", file=sys.stderr)
    return done


def photo_folder(arguments: argparse.Namespace) -> Path:
    """The photos of the archive, dealt out into one folder a label."""
    folder = arguments.work / "photos"
    if folder.is_dir():
        return folder
    making = Path(tempfile.mkdtemp(dir=arguments.work))
    with tarfile.open(arguments.photos) as archive:
        members = sorted((m for m in archive if m.isfile()), key=lambda m: m.name)
        for place, member in enumerate(members):
            file = making / LABELS[place % len(LABELS)] / f"{place:04}{Path(member.name).suffix}"
            write_bytes(file, archive.extractfile(member).read())
    making.rename(folder)
    return folder


def source_words(family: Family, work: Path, seed: int) -> list[str]:
    """What stands on `clipgate-export bundle`'s command line for this family."""
    if family.hugging_face:
        tiny_clip_folder(work / "source", seed)
        return ["--hugging-face", str(work / "source")]
    words = ["--open-clip", family.name, "--random-weights", "--seed", str(seed)]
    if "SigLIP" in family.name:
        words += ["--tokenizer", str(stand_in_tokenizer(work / "tokenizer"))]
    if family.preprocessing:
        from .preprocess import MEAN, STD

        usual = {"size": 224, "resize": "shortest_edge", "interpolation": "bicubic", "mean": MEAN, "std": STD}
        write_bytes(work / "preprocessing.json", to_json(usual))
        words += ["--preprocessing", str(work / "preprocessing.json")]
    return words


def stand_in_tokenizer(folder: Path) -> Path:
    """A small tokenizer of SigLIP's kind in the layout that both sides read; its own lies on a hub."""
    from .goldens_unigram import END, UNKNOWN

    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": END[0], "eos_token": END[0]}
    write_bytes(folder / "tokenizer.json", SIGLIP_TOKENIZER.read_bytes())
    write_bytes(folder / "tokenizer_config.json", to_json(settings | {"unk_token": UNKNOWN[0]}))
    return folder


def tiny_clip_folder(folder: Path, seed: int) -> None:
    """TinyCLIP-ViT-8M-16-Text-3M's shapes (Wu et al. 2023, arXiv 2309.12314) as Hugging Face keeps a CLIP."""
    import torch
    from open_clip.tokenizer import default_bpe
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    from .sources.drawn import move_off_neutral
    from .tokenizer import END, START, tokenizer_json

    torch.manual_seed(seed)
    tower = {"hidden_size": 256, "intermediate_size": 1024, "num_attention_heads": 4, "projection_dim": 512}
    vision = tower | {"num_hidden_layers": 10, "image_size": 224, "patch_size": 16}
    text = tower | {"num_hidden_layers": 3, "vocab_size": 49408, "max_position_embeddings": 77, "eos_token_id": 49407}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=512))
    move_off_neutral(model, torch.Generator().manual_seed(seed))
    model.save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    named = tokenizer_json(Path(default_bpe())).replace(START.encode(), b"<|startoftext|>")
    write_bytes(folder / "tokenizer.json", named.replace(END.encode(), b"<|endoftext|>"))


def parity_of(family: Family, source: list[str], work: Path, photos: Path) -> tuple[float, float, float, float]:
    """The least plain and centred cosines of images, then of texts, against the library that made the weights."""
    from . import parity

    parser = argparse.ArgumentParser()
    sources.add_arguments(parser)
    arguments = parser.parse_args(source)
    arguments.work = work
    found = image_paths(photos)
    files = found[:: max(1, len(found) // PARITY_PHOTOS)][:PARITY_PHOTOS]
    if family.hugging_face:
        reference = transformers_own(arguments.hugging_face, files, parity.TEXTS)
        gc.collect()
        with tempfile.TemporaryDirectory(dir=work) as folder:
            likeness = parity.compare(reference, sources.load(arguments, Path(folder)), files, parity.TEXTS)
    else:
        likeness = parity.check(family.name, arguments, files)
    sides = (likeness.images, likeness.texts)
    return tuple(float(values.min()) for side in sides for values in (side.plain, side.centred))


def transformers_own(folder: Path, files: list[Path], texts: tuple[str, ...]) -> object:
    """Unit embeddings by transformers' model behind open_clip's transform and tokenizer.

    transformers' own image processor cuts some photos one pixel beside where open_clip does.
    """
    import numpy as np
    import torch
    from open_clip import SimpleTokenizer
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from PIL import Image
    from transformers import CLIPModel

    from .graph import unit
    from .parity import Reference

    model, tokenizer = CLIPModel.from_pretrained(folder).eval(), SimpleTokenizer(context_length=77)
    transform = image_transform_v2(PreprocessCfg(), is_train=False)
    with torch.no_grad():
        pixels = (transform(Image.open(file))[None] for file in files)
        images = [model.get_image_features(pixel_values=values).pooler_output.numpy() for values in pixels]
        made = [model.get_text_features(input_ids=tokenizer([text])).pooler_output.numpy() for text in texts]
    return Reference(unit(np.concatenate(images)), unit(np.concatenate(made)))


def judge(bundle: Path, fp32: Path, photos: Path) -> tuple[int, float, float, float, float]:
    """On the photos that set no ranges: how many, the cosines, and how alike they are."""
    from .subject import from_bundle

    images = ImageFolder.read(photos, progress=False)
    _, *halves = images.split(RANGE_IMAGES)
    rows = sorted(halves[0] + halves[1])
    report = check(from_bundle(bundle, fp32), images.unlabelled(), rows, bars=Bars({}, None), snr_images=0)
    return report.n, report.cosine_mean, report.centred_mean, report.centred_worst, report.likeness.alike


def render(rows: list[Row]) -> str:
    """Markdown."""
    head = (
        "family",
        "parity: 1 - cosine, images",
        "texts",
        "photos alike",
        "int8 cosine",
        "centred: mean, worst",
        "n",
        "method",
        "layers in fp32",
        "of fp32's size",
        "faster",
        "bundle: s (CPU s), peak",
        "verify",
        "classify",
    )
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    return "\n".join(lines)


def _cells(row: Row) -> list[str]:
    return [
        row.name,
        *(f"{1 - plain:.0e} / {1 - centred:.0e}" for plain, centred in (row.parity[:2], row.parity[2:])),
        f"{row.alike:.2f}",
        f"{row.cosine:.4f}",
        f"{row.centred:.3f}, {row.worst:.3f}",
        str(row.judged),
        row.method,
        str(row.kept),
        f"{100 * row.size:.1f} %",
        f"{row.faster:.2f}x",
        f"{row.seconds:.0f} ({row.cpu:.0f}), {row.peak_gb:.1f} GB",
        "ok" if row.verified else "FAILED",
        "ok" if row.classifies else "FAILED",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = {family.name: family for family in FAMILIES}
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*known, []], help=f"of {', '.join(known)}; all")
    parser.add_argument("--photos", type=Path, required=True, help="a tar archive of photos")
    parser.add_argument("--command", type=Path, required=True, help="the clipgate binary")
    parser.add_argument("--work", type=Path, required=True, help="bundles and measurements")
    parser.add_argument("-o", "--output", type=Path, help="the Markdown file with the table's markers")
    parser.add_argument("--seed", type=int, default=20261123, help="of the weights (%(default)s)")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or known:
        kept = arguments.work / f"{name}.json"
        if not kept.exists():
            write_bytes(kept, to_json(asdict(measure(known[name], arguments))))
    kept = [arguments.work / f"{name}.json" for name in known]
    rows = [Row(**json.loads(path.read_text())) for path in kept if path.exists()]
    print(render(rows))
    if arguments.output is not None:
        text = between(arguments.output.read_text(), BEGIN, END, render(rows), arguments.output)
        write_bytes(arguments.output, text.encode())


if __name__ == "__main__":
    report_errors(main)
