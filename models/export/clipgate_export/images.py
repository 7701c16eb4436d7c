"""A user's folder of images: found, checked, hashed, and streamed as preprocessed batches of one."""

import hashlib
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from .errors import UserError
from .onnx_files import one_line
from .preprocess import decode, pixel_values
from .spec import Preprocessing

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FEWEST_IMAGES = 16
SEED = 20261123
NAMED_BROKEN = 5


@dataclass(frozen=True)
class ImageFile:
    """An image that decodes; `label` is its sub-folder where there is one folder a label."""

    path: Path
    label: str | None
    sha256: bytes


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder in the order of their paths; `broken` names those that do not decode."""

    path: Path
    files: list[ImageFile]
    broken: list[str]

    @classmethod
    def read(cls, path: Path, progress: bool = True, use: str = "quantising") -> "ImageFolder":
        """Every image file of `path` and its sub-folders, each decoded once to see that it can be.

        `use` says in the refusal of too few images what they are for.
        """
        found = image_paths(path)
        labelled = bool(label_folders(path, found))
        files, broken = [], []
        # On a terminal only: a bar in a log is noise.
        quiet = None if progress else True
        for file in tqdm(found, desc=f"reading {path.name}", unit="image", disable=quiet, leave=False):
            try:
                content = file.read_bytes()
                decode(content)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                broken.append(f"{file}: {fault(error)}")
                continue
            label = file.relative_to(path).parts[0] if labelled else None
            files.append(ImageFile(file, label, hashlib.sha256(content).digest()))
        if len(files) < FEWEST_IMAGES:
            lost = f", and {len(broken)} that cannot be decoded (first {broken[0]})" if broken else ""
            raise UserError(
                f"{path}: {len(files)} images{lost}; {use} needs at least {FEWEST_IMAGES} photos like those "
                "that the model will see, some hundred are better"
            )
        return cls(path, files, broken)

    @property
    def labels(self) -> list[str]:
        """The sub-folders' names, sorted; empty where the images are not sorted into labels."""
        return sorted({file.label for file in self.files if file.label is not None})

    def unlabelled(self) -> "ImageFolder":
        """The same images, their sub-folders meaning nothing."""
        return replace(self, files=[replace(file, label=None) for file in self.files])

    def warning(self) -> str | None:
        """One line about the images that were skipped."""
        if not self.broken:
            return None
        more = f" and {len(self.broken) - NAMED_BROKEN} more" if len(self.broken) > NAMED_BROKEN else ""
        return f"skipped {len(self.broken)} images that do not decode: {'; '.join(self.broken[:NAMED_BROKEN])}{more}"

    def digest(self) -> str:
        """sha256 over the relative paths and contents of all images, in order."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(file.path.relative_to(self.path).as_posix().encode() + b"\0" + file.sha256)
        return digest.hexdigest()

    def batches(self, preprocessing: Preprocessing, rows: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """pixel_values f32 [1, 3, S, S] of each image, or of those at `rows`, one at a time."""
        for row in range(len(self.files)) if rows is None else rows:
            yield pixel_values(decode(self.files[row].path.read_bytes()), preprocessing)[None]

    def split(self, most_for_ranges: int) -> tuple[list[int], list[int], list[int]]:
        """Rows for quantisation ranges, for the temperature and for the thresholds, none of them shared.

        Without labels two thirds serve the ranges, or all of fewer than twice `FEWEST_IMAGES`, evenly spaced up to
        `most_for_ranges`. With labels a third of each label's images does, more where that is fewer than
        `FEWEST_IMAGES`, up to `most_for_ranges` together, and the rest is halved; drawn with a fixed seed.
        """
        if not self.labels:
            count = len(self.files)
            kept = count - count // 3 if count >= 2 * FEWEST_IMAGES else count
            return spaced(count, min(kept, most_for_ranges)), [], []
        by_label: dict[str, list[int]] = {}
        for row, file in enumerate(self.files):
            by_label.setdefault(str(file.label), []).append(row)
        ranges: list[int] = []
        halves: tuple[list[int], list[int]] = ([], [])
        each, fewest = max(1, most_for_ranges // len(by_label)), -(-FEWEST_IMAGES // len(by_label))
        giving = set(spaced(len(by_label), min(len(by_label), most_for_ranges)))
        for place_of_label, (label, rows) in enumerate(sorted(by_label.items())):
            random.Random(f"{SEED} {label}").shuffle(rows)
            taken = min(each, max(fewest, -(-len(rows) // 3))) if place_of_label in giving else 0
            ranges += rows[:taken]
            for place, row in enumerate(rows[taken:]):
                halves[place % 2].append(row)
        return sorted(ranges), sorted(halves[0]), sorted(halves[1])


def spaced(count: int, most: int) -> list[int]:
    """At most `most` of `count` rows, evenly spaced."""
    return [place * count // most for place in range(most)] if most < count else list(range(count))


def fault(error: Exception) -> str:
    """Why a file does not decode; Pillow's own words for an unknown format name an object in memory."""
    if isinstance(error, UnidentifiedImageError):
        return "of no format that Pillow knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error, 80)


def image_paths(path: Path) -> list[Path]:
    """Every file below `path` with an image's suffix, hidden ones left out, links to folders followed.

    A sub-folder that cannot be read is an error: its label would be missing without a word.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; give one with images, or with one sub-folder of images a label")

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions") from error

    found = []
    for folder, inner, names in os.walk(path, onerror=refuse, followlinks=True):
        here = Path(folder)
        # A link to a folder that it lies in would go round for ever.
        around = {parent.resolve() for parent in (here, *here.parents) if parent.is_relative_to(path)}
        inner[:] = [name for name in inner if name[0] != "." and (here / name).resolve() not in around]
        images = [here / name for name in names if name[0] != "." and name.lower().endswith(SUFFIXES)]
        found += [file for file in images if file.is_file()]
    if not found:
        raise UserError(f"{path}: no images in this folder; it takes {', '.join(suffix[1:] for suffix in SUFFIXES)}")
    return sorted(found)


def label_folders(path: Path, found: Sequence[Path]) -> list[str]:
    """The sub-folders' names, sorted, if every image lies in one and there are at least two of them."""
    parts = [file.relative_to(path).parts for file in found]
    folders = sorted({part[0] for part in parts})
    return folders if all(len(part) > 1 for part in parts) and len(folders) > 1 else []
