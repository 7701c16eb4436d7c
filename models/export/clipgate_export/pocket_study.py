"""Lays out the study of quantisation on pocket: image folders, fp32 bundles and configs for `clipgate-export study`.

    python -m clipgate_export.pocket_study --data ../../../shared/data --models ../pocket --towers ../../build/study \
        -o ../../build/study/input

`--towers` holds a folder for each pre-training (`clipgate_export.train --as ... -o TOWERS/underconfident`) and the
text tower (`clipgate_export.train_text -o TOWERS/text`). study.toml compares the two pre-trainings, which know all
trained classes as labels. shipping.toml has pocket as it ships, its int8 weights taken for fp32, with its own label
bank and the text tower: the method that the bundle ships with is chosen there. It is made without pre-trainings, too.
"""

import argparse
import json
import sys
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import ModelProto
from open_clip.tokenizer import default_bpe

from .bank import Bank
from .bundle import (
    IMAGE_ENCODER,
    LABELS,
    SELFTEST,
    TEXT_ENCODER,
    TOKENIZER,
    Description,
    Origin,
    Selftest,
    TextEntry,
    write_manifest,
)
from .data import (
    CIFAR,
    OOD_ARCHIVES,
    VALIDATION,
    Images,
    Splits,
    made_from,
    read_imagenet_names,
    read_named_text_embeddings,
    read_text_embeddings,
    read_tiny_imagenet,
    require,
)
from .errors import UserError, report_errors
from .export import export_image_tower, export_text_tower, load_image_tower, load_text_tower
from .files import write_bytes
from .graph import Graph
from .onnx_model import graph_bytes
from .ood_tasks import NEAR_POCKET
from .pocket import ARCHITECTURE, LICENCE, PREPROCESSING, PROMPT_TEMPLATE, SOURCE
from .pocket_bank import labels
from .shipped import image_tower
from .study.methods import METHODS
from .text_tower import CONTEXT_LENGTH
from .tokenizer import tokenizer_json
from .train_text import made_from as made_from_names

PRETRAINED = ("underconfident", "overconfident")
# Of each trained class. QAT takes few steps, and no study judges by an image that any training saw.
TRAINING_PER_CLASS, RANGES_PER_CLASS = 60, 2
# Every row sees the images that report several times, so that these are what a study takes its hours for.
REPORTING_PER_CLASS, REPORTING_PER_LABEL, OOD_IMAGES = 10, 30, 300
# Weights per channel are what pocket ships with, not what the trained methods learn.
METHODS_COMPARED = tuple(name for name in METHODS if name != "minmax-channel")
# The archives of other images that are sorted into folders.
OOD_FOLDERS = {"textures": 10, "signlang": 10}
# The ending of folders with nothing but images of pocket's default labels.
OF_LABELS = "-labels"

CONFIG = """\
# Written by `python -m clipgate_export.pocket_study`; `clipgate-export study --config` reads it.
seed = 20261130
methods = {methods}
bits = {bits}

[images]
ranges = "images/ranges"
training = "images/training{of}"
reporting = "images/reporting{of}"

[qat]
steps = 60
batch = 32
rate = 1e-4

[corruptions]
images = 150
severities = [3]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True, help="models/pocket")
    parser.add_argument("--towers", type=Path, required=True, help="folder of the pre-trainings and the text tower")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of images, sources and study.toml")
    arguments = parser.parse_args()
    if (arguments.output / "shipping.toml").exists():
        raise UserError(f"{arguments.output / 'shipping.toml'} is there already; take another -o, or delete it")
    splits_file = arguments.models / "splits.json"
    splits, images = Splits.read(splits_file), read_tiny_imagenet(arguments.data)
    splits.check(images, splits_file)
    others = lay_out(arguments.data, images, splits, arguments.output / "images")

    names, _ = read_named_text_embeddings(arguments.data)
    source = made_from_names(names, arguments.models / "text_split.json")
    text = export_text_tower(load_text_tower(arguments.towers / "text" / "text_tower.safetensors", source))
    sources = arguments.output / "sources"
    bank = Bank(
        labels(read_imagenet_names(arguments.data, splits.trained_wnids), splits.trained_wnids),
        read_text_embeddings(arguments.data, splits.trained_wnids),
        [],
        np.empty((0, 512), np.float32),
    )
    weights = {name: arguments.towers / name / "image_tower.safetensors" for name in PRETRAINED}
    untrained = [path for path in weights.values() if not path.exists()]
    for name, path in weights.items() if not untrained else ():
        tower, scale = load_image_tower(path, made_from(images, splits_file))
        write_source(sources / name, name, export_image_tower(tower), None, bank, scale)
    shipped, scale, _ = image_tower(arguments.models, images, splits)
    own = Bank.read((arguments.models / LABELS).read_bytes())
    write_source(sources / "pocket", "pocket", export_image_tower(shipped), text, own, scale)

    tables = [
        f'[[ood]]\nname = "{name}"\nkind = "{kind}"\nimages = "images/{folder}"\n' for name, kind, folder in others
    ]
    studies = (
        ("study.toml", METHODS_COMPARED, [32, 8, 4], "", PRETRAINED),
        ("shipping.toml", tuple(METHODS), [32, 8], OF_LABELS, ("pocket",)),
    )
    if untrained:
        print(
            f"{untrained[0]}: no such file: study.toml, which compares the pre-trainings, is left out", file=sys.stderr
        )
        studies = studies[1:]
    for file, methods, bits, of, named in studies:
        config = CONFIG.format(methods=json.dumps(methods), bits=bits, of=of)
        models = [f'[[source]]\nname = "{name}"\nbundle = "sources/{name}"\n' for name in named]
        write_bytes(arguments.output / file, "\n".join([config, *tables, *models]).encode())
    files = " and ".join(study[0] for study in studies)
    print(f"{arguments.output}: {files} and all that is named there are written", file=sys.stderr)


def lay_out(data: Path, images: Images, splits: Splits, folder: Path) -> list[tuple[str, str, str]]:
    """Image folders; returns name, kind and folder of each set outside the labels."""
    held_out = {index for indices in splits.held_out.values() for index in indices}
    seen = [index for index in range(len(images.wnids)) if index not in held_out]
    for name, indices, wnids, most in (
        ("training", seen, splits.trained_wnids, TRAINING_PER_CLASS),
        (f"training{OF_LABELS}", seen, splits.label_wnids, TRAINING_PER_CLASS),
        ("ranges", splits.held_out["quantisation"], splits.trained_wnids, RANGES_PER_CLASS),
    ):
        counts = dict.fromkeys(wnids, 0)
        for index in indices:
            wnid = images.wnids[index]
            if counts.get(wnid, most) < most:
                counts[wnid] += 1
                write_image(folder / name / wnid / f"{index:06}.jpg", images.jpegs[index])
    validation, cifar = require(data, VALIDATION), require(data, CIFAR)
    unpack(validation, folder / "reporting", REPORTING_PER_CLASS, splits.trained_wnids)
    unpack(validation, folder / f"reporting{OF_LABELS}", REPORTING_PER_LABEL, splits.label_wnids)
    never = splits.never_trained_wnids
    unpack(validation, folder / "never-trained", OOD_IMAGES // len(never), never)
    unpack(cifar, folder / "cifar10", OOD_IMAGES // len(NEAR_POCKET), NEAR_POCKET)
    sets = [("never-trained classes", "near", "never-trained"), ("CIFAR-10's five", "near", "cifar10")]
    for name, archive in OOD_ARCHIVES.items():
        short = archive.removeprefix("ood-").removesuffix(".tar")
        unpack(require(data, archive), folder / short, OOD_IMAGES // OOD_FOLDERS.get(short, 1))
        sets.append((name, "far", short))
    return sets


def unpack(archive: Path, folder: Path, most: int, named: Sequence[str] | None = None) -> None:
    """The first `most` files of each of the archive's folders, of those that are `named` if they are."""
    counts: Counter[str] = Counter()
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda member: member.name):
            parent = Path(member.name).parent.as_posix()
            if member.isfile() and (named is None or parent in named) and counts[parent] < most:
                counts[parent] += 1
                tar.extract(member, folder, filter="data")


def write_image(path: Path, jpeg: bytes) -> None:
    """The config is written last, so that none of the many files needs to reach the disk by itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg)


def write_source(
    folder: Path, name: str, image: ModelProto, text: ModelProto | None, bank: Bank, logit_scale: float
) -> None:
    """An fp32 bundle without a calibration."""
    contents = {
        IMAGE_ENCODER: graph_bytes(image),
        LABELS: bank.file(),
        SELFTEST: Selftest.of(Graph(image), PREPROCESSING).file(),
    }
    if text is not None:
        contents |= {TEXT_ENCODER: graph_bytes(text), TOKENIZER: tokenizer_json(Path(default_bpe()))}
    for file, content in contents.items():
        write_bytes(folder / file, content)
    write_manifest(
        folder,
        Description(
            id=f"study-{name}",
            origin=Origin(ARCHITECTURE.replace("static int8 QDQ", "fp32"), SOURCE, LICENCE),
            preprocessing=PREPROCESSING,
            embedding_dim=bank.text_embeds.shape[1],
            logit_scale=float(np.float32(logit_scale)),
            text=None if text is None else TextEntry(CONTEXT_LENGTH, PROMPT_TEMPLATE),
        ),
    )


if __name__ == "__main__":
    report_errors(main)
