"""Folders of corrupted reporting images, one a kind of corruption, made once for all rows of a preprocessing."""

from dataclasses import asdict
from pathlib import Path

from PIL import Image

from ..building import building
from ..images import spaced
from ..preprocess import decode, to_square
from ..spec import Preprocessing
from .corruptions import CORRUPTIONS, corrupt
from .inputs import Inputs
from .rows import FORMAT, digest


def corrupted(inputs: Inputs, preprocessing: Preprocessing, work: Path) -> dict[str, Path]:
    """By kind: label folders with every chosen image at every severity, as PNG of the model's own size."""
    study = inputs.study
    depends = [FORMAT, inputs.reporting.digest(), asdict(study.corruptions), preprocessing.record(), study.seed]
    folder = work / f"corrupted-{digest(depends)[:20]}"
    if not folder.exists():
        with building(folder) as (made, _):
            for row in spaced(len(inputs.reporting.files), study.corruptions.images):
                file = inputs.reporting.files[row]
                pixels = to_square(decode(file.path.read_bytes()), preprocessing)
                for kind in CORRUPTIONS:
                    place = made / kind / str(file.label)
                    place.mkdir(parents=True, exist_ok=True)
                    for severity in study.corruptions.severities:
                        image = Image.fromarray(corrupt(pixels, kind, severity, study.seed + row))
                        image.save(place / f"{row}-{severity}.png")
    return {kind: folder / kind for kind in CORRUPTIONS}
