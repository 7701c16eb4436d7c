"""The tower that ships, back as a module: it says what the graph says, in training as afterwards."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from clipgate_export.data import Images, Splits
from clipgate_export.errors import UserError
from clipgate_export.graph import Graph
from clipgate_export.preprocess import decode, normalise, resize_and_crop
from clipgate_export.shipped import image_tower, with_weights_of
from clipgate_export.tower import ImageTower

POCKET = Path(__file__).parents[2] / "pocket"


@pytest.fixture(scope="module")
def blocks() -> np.ndarray:
    """Pictures of coloured blocks, u8 [64, 64, 64, 3]."""
    draw = np.random.Generator(np.random.PCG64(7))
    return draw.integers(0, 256, (64, 4, 4, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)


@pytest.fixture(scope="module")
def tower(blocks: np.ndarray) -> ImageTower:
    return with_weights_of(POCKET, torch.from_numpy(normalise(blocks)))


# Rounding of activations parts an int8 graph from its own weights in fp32 by a few 1e-4 (measured: 0.9997), of a photo
# that leaves the ranges by more (one of the eight: 0.992).
MEDIAN_COSINE, LEAST_COSINE = 0.999, 0.98


def test_it_says_what_the_graph_says(tower: ImageTower) -> None:
    photos = sorted((POCKET.parents[1] / "examples" / "photos").glob("*.jpg"))
    pixels = np.stack([resize_and_crop(decode(photo.read_bytes()).convert("RGB")) for photo in photos])
    graph = Graph(POCKET / "image_encoder.onnx").embed_pixels(pixels)
    with torch.no_grad():
        module = F.normalize(tower.eval()(torch.from_numpy(normalise(pixels)))).numpy()
    assert len(photos) >= 8
    cosines = (graph * module).sum(1)
    assert np.median(cosines) > MEDIAN_COSINE
    assert cosines.min() > LEAST_COSINE


def test_training_starts_from_the_same_function(tower: ImageTower, blocks: np.ndarray) -> None:
    x = torch.from_numpy(normalise(blocks))
    with torch.no_grad():
        afterwards = F.normalize(tower.eval()(x))
        before = tower.state_dict()["patch_norm.running_mean"].clone()
        training = F.normalize(tower.train()(x))
        tower.state_dict()["patch_norm.running_mean"].copy_(before)
    # The statistics are of these very images: only sums in another order part the two.
    torch.testing.assert_close(training, afterwards, rtol=0, atol=2e-3)


def test_another_graph_is_refused(tmp_path: Path) -> None:
    shutil.copy(POCKET / "text_encoder.onnx", tmp_path / "image_encoder.onnx")
    with pytest.raises(UserError, match=r"image_encoder.onnx: .* not in both"):
        with_weights_of(tmp_path, torch.zeros(1, 3, 64, 64))
    (tmp_path / "image_encoder.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match=r"image_encoder.onnx: cannot be read"):
        with_weights_of(tmp_path, torch.zeros(1, 3, 64, 64))


def test_scale_and_log_come_with_the_tower_and_are_missed_by_name(blocks: np.ndarray, tmp_path: Path) -> None:
    jpegs = []
    for block in blocks:
        file = io.BytesIO()
        Image.fromarray(block).save(file, "JPEG")
        jpegs.append(file.getvalue())
    images = Images(jpegs, ["n00000000"] * len(jpegs))
    splits = replace(Splits.read(POCKET / "splits.json"), held_out={"quantisation": list(range(len(jpegs)))})
    for name in ("image_encoder.onnx", "manifest.json", "report.json"):
        shutil.copy(POCKET / name, tmp_path)
    _, scale, log = image_tower(tmp_path, images, splits)
    assert scale == json.loads((POCKET / "manifest.json").read_text())["logit_scale"]
    assert [record["epoch"] for record in log] == list(range(1, len(log) + 1))
    (tmp_path / "report.json").write_text('{"training": 3}')
    with pytest.raises(UserError, match="not those of pocket"):
        image_tower(tmp_path, images, splits)
    (tmp_path / "report.json").unlink()
    with pytest.raises(UserError, match="report.json: cannot be read"):
        image_tower(tmp_path, images, splits)
