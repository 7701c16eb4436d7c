"""What a source's JSON files say about images, read into this package's words."""

import math
from pathlib import Path

from ..errors import UserError
from ..files import read_json
from ..onnx_files import one_line
from ..spec import Preprocessing

CLIP_TEMPLATE = "a photo of a {}."
# What SigLIP's authors ask with: big_vision's evaluation, Hugging Face's pipeline.
SIGLIP_TEMPLATE = "This is a photo of {}."
UNKNOWN_LICENCE = "unknown: not told to clipgate-export (--licence); ask where the weights come from"
# Pillow's numbers of its filters, as Hugging Face's files hold them.
PILLOW_FILTERS = {2: "bilinear", 3: "bicubic"}


def read_preprocessing(path: Path) -> Preprocessing:
    """From a file in the manifest's words, a whole manifest, or a Hugging Face preprocessor_config.json."""
    record = read_json(path)
    if "image_mean" in record or "do_resize" in record:
        return hugging_face_preprocessing(record, path)
    record = record.get("preprocessing", record)
    try:
        return Preprocessing(
            int(record["size"]),
            record["resize"],
            record["interpolation"],
            tuple(float(value) for value in record["mean"]),
            tuple(float(value) for value in record["std"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: no preprocessing ({type(error).__name__} {one_line(error)}); it needs size, resize "
            "(shortest_edge or squash), interpolation (bicubic or bilinear), mean and std"
        ) from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def hugging_face_preprocessing(record: dict, path: Path) -> Preprocessing:
    """What a CLIP or SigLIP image processor does; anything beyond resize, centre crop and mean is refused."""

    def refuse(what: str) -> UserError:
        return UserError(f"{path}: {what}, which clipgate's preprocessing cannot follow; give --preprocessing JSON")

    if not (record.get("do_resize", True) and record.get("do_normalize", True)):
        raise refuse("do_resize or do_normalize is off")
    if not math.isclose(record.get("rescale_factor", 1 / 255), 1 / 255, rel_tol=1e-6):
        raise refuse(f"rescale_factor is {record['rescale_factor']}")
    size = record.get("size", 224)
    size = {"shortest_edge": size} if isinstance(size, int) else size
    crop = record.get("crop_size", size)
    crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
    if "shortest_edge" in size:
        edge, resize = size["shortest_edge"], "shortest_edge"
        cropped = {crop.get("height", edge), crop.get("width", edge)} == {edge}
        if not (record.get("do_center_crop", True) and cropped):
            raise refuse(f"the shortest edge becomes {edge} but the crop is {crop}")
    elif set(size) >= {"height", "width"} and size["height"] == size["width"]:
        edge, resize = size["height"], "squash"
    else:
        raise refuse(f"size is {size}")
    filter_number = record.get("resample", 3)
    if filter_number not in PILLOW_FILTERS:
        raise refuse(f"resample is {filter_number}")
    try:
        mean, std = (tuple(float(value) for value in record[key]) for key in ("image_mean", "image_std"))
    except (KeyError, TypeError, ValueError) as error:
        raise refuse("image_mean or image_std is missing") from error
    return Preprocessing(int(edge), resize, PILLOW_FILTERS[filter_number], mean, std)
