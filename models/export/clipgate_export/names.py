"""The names that the text tower learns from, its held-out share, and the prompts a name appears in."""

import json
import random
import re
from pathlib import Path

from .errors import UserError
from .files import write_bytes

SEED = 20261123
HELD_OUT_SHARE = 0.1
TEMPLATES = (
    "{}",
    "a {}",
    "an {}",
    "the {}",
    "{}s",
    "a photo of a {}.",
    "a photo of the {}.",
    "a photo of {}",
    "a picture of a {}",
    "an image of a {}",
    "a blurry photo of a {}.",
    "a close-up photo of a {}.",
    "a photo of a small {}.",
    "a photo of a large {}.",
    "there is a {} in the scene.",
)


def group_key(name: str) -> str:
    """What two names share that a reader would call the same: words without case, punctuation or plural."""
    words = re.sub(r"[^a-z0-9]+", " ", name.casefold()).split()
    return " ".join(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words)


def split_names(names: list[str], always_trained: list[str]) -> tuple[list[int], list[int]]:
    """Rows to train on and rows held out: a tenth of the groups, drawn with a fixed seed.

    Names with the same `group_key` stay on one side; those of `always_trained` are trained on.
    """
    groups: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        groups.setdefault(group_key(name), []).append(row)
    fixed = {group_key(name) for name in always_trained}
    free = sorted(set(groups) - fixed)
    held_out = set(random.Random(SEED).sample(free, round(HELD_OUT_SHARE * len(groups))))
    kept = [row for key, rows in groups.items() if key not in held_out for row in rows]
    return sorted(kept), sorted(row for key in held_out for row in groups[key])


def write_split(path: Path, names: list[str], held_out: list[int]) -> None:
    record = {
        "seed": SEED,
        "source": "the distinct names of clip-vit-b32-text.safetensors: imagenet, lvis, openimages, objects365, coco",
        "rule": "a tenth of the groups of names that are equal up to case, punctuation and plural; "
        "pocket's default labels are never held out",
        "names": len(names),
        "held_out": [names[row] for row in held_out],
    }
    write_bytes(path, (json.dumps(record, indent=0, ensure_ascii=False) + "\n").encode())


def read_split(path: Path, names: list[str]) -> tuple[list[int], list[int]]:
    """The rows of `names` to train on and those held out, as `write_split` recorded them."""
    try:
        held_out = set(json.loads(path.read_text())["held_out"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not the record of names held out ({error!r})") from error
    missing = held_out - set(names)
    if missing:
        raise UserError(f"{path}: {len(missing)} held-out names are not in the data, first {sorted(missing)[0]!r}")
    rows = range(len(names))
    return [row for row in rows if names[row] not in held_out], [row for row in rows if names[row] in held_out]
