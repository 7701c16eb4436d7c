"""Quantisation-aware training on tiny towers: LSQ's gradients, graphs as trained, resumption, mistakes."""

import hashlib
import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny_clip
import torch
from onnx import numpy_helper
from tiny_models import CONFIGURATIONS, write_pictures

from clipgate_export import cli
from clipgate_export.bank import Bank, Label
from clipgate_export.errors import UserError
from clipgate_export.export import export_image_tower, export_text_tower, export_tower
from clipgate_export.graph import Graph
from clipgate_export.lint import NOTE, lint
from clipgate_export.qat import command, lsq
from clipgate_export.qat.plan import METHODS, Examples, Options, Plan, Texts
from clipgate_export.qat.start import start
from clipgate_export.qat.training import CHECKPOINT, CURVE, IMAGE, LOG, REPORT, TEXT, train
from clipgate_export.quantization.engine import quantize
from clipgate_export.quantization.levels import highest_level, read_levels, whole_reciprocal
from clipgate_export.quantization.recipe import Recipe
from clipgate_export.text_tower import TextTower
from clipgate_export.tower import ImageTower

CLASSES, COUNT = 5, 48
# The texts are drawn, so that following them far would lead away from fp32.
SHORT = Options(steps=4, batch=8, rate=2e-5, range_images=16, checkpoint_steps=10)


def drawn_images(size: int = tiny_clip.SIZE, count: int = COUNT) -> Examples:
    draw = torch.Generator().manual_seed(2)
    pixels = torch.randint(0, 256, (count, 3, size, size), generator=draw, dtype=torch.uint8)
    classes = torch.arange(count) % CLASSES
    return Examples(classes, lambda rows: pixels[list(rows)], (0.5,) * 3, (0.25,) * 3, f"drawn {size} {count}")


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def drawn_texts(width: int = tiny_clip.DIM, rows: int = CLASSES) -> Texts:
    return Texts(unit(np.random.default_rng(3).standard_normal((rows, width))))


def plan(fp32: Path, method: str = "lsq", bits: int = 4, options: Options = SHORT) -> Plan:
    return Plan(fp32, method, bits, drawn_images(), drawn_texts(), options)


@pytest.mark.parametrize("channels", [False, True])
def test_gradients_are_those_of_pytorch(channels: bool) -> None:
    draw = torch.Generator().manual_seed(4)
    x = torch.randn(6, 40, generator=draw) * 3
    scale = torch.rand(6, generator=draw) * 0.05 + 0.01 if channels else torch.tensor(0.017)
    zero, low, high = (0, -31, 31) if channels else (100, 0, 255)
    gradient = torch.randn(x.shape, generator=draw)
    sharing = 40 if channels else x.numel()
    factor = 1 / math.sqrt(sharing * (high - zero))
    found = [x.clone().requires_grad_(), scale.clone().requires_grad_()]
    wanted = [x.clone().requires_grad_(), scale.reshape(-1).clone().requires_grad_()]
    zeros = torch.full_like(wanted[1], float(zero))
    if channels:
        y = torch._fake_quantize_learnable_per_channel_affine(*wanted, zeros, 0, low, high, factor)
        z = lsq.quantise(found[0], found[1][:, None], zero, low, high, sharing)
    else:
        y = torch._fake_quantize_learnable_per_tensor_affine(*wanted, zeros, low, high, factor)
        z = lsq.quantise(*found, zero, low, high, sharing)
    y.backward(gradient)
    z.backward(gradient)
    assert torch.allclose(z, y, atol=1e-6)
    assert (z.abs() < x.abs() - scale.max()).any()
    assert torch.equal(found[0].grad, wanted[0].grad)
    assert torch.allclose(found[1].grad.reshape(-1), wanted[1].grad, rtol=1e-4)


def test_a_first_step_is_the_papers_or_reaches_the_largest_weight() -> None:
    weight = torch.randn(64, 32, generator=torch.Generator().manual_seed(5))
    weight[3, 4] = 30
    assert lsq.first_step(weight, 7) == pytest.approx(2 * float(weight.abs().mean()) / math.sqrt(7))
    assert lsq.first_step(weight[:3], 127) == pytest.approx(float(weight[:3].abs().max()) / 127)
    assert lsq.first_step(weight, 7, axis=1).shape == (32,)
    assert (lsq.first_step(torch.zeros(4, 4), 7, axis=0) == 1).all()


def test_the_reciprocals_of_shares_scales_are_whole() -> None:
    scales = np.concatenate([np.float32(1) / np.arange(1, 5000, dtype=np.float32), np.linspace(2e-4, 1, 5000)])
    found = whole_reciprocal(scales.astype(np.float32))
    rounded = np.floor(np.float32(1) / found)
    assert np.allclose(1 / found.astype(np.float64), rounded, rtol=1e-6)
    assert (found.astype(np.float64) >= scales * (1 - 1e-6)).all() and (found <= scales * 2).all()
    assert np.array_equal(whole_reciprocal(found), found)
    assert np.array_equal(lsq.whole_reciprocal(torch.tensor(scales).float()).numpy(), found)


@pytest.mark.parametrize("bits", [8, 6, 4])
@pytest.mark.parametrize("method", METHODS)
def test_the_graph_is_the_trained_network(clip_fp32: Path, tmp_path: Path, method: str, bits: int) -> None:
    report = train(plan(clip_fp32, method, bits), tmp_path, progress=False)
    made = report.graphs["image"]
    assert made.to_trained >= 0.9999
    assert made.to_fp32 > {8: 0.98, 6: 0.97, 4: 0.8}[bits]
    content = (tmp_path / IMAGE).read_bytes()
    assert made.sha256 == hashlib.sha256(content).hexdigest() and made.bytes == len(content)
    assert [finding for finding in lint(tmp_path / IMAGE) if finding.severity != NOTE] == []
    model = onnx.load_from_string(content)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for weight in read_levels(model).weights:
        assert np.abs(tensors[weight.quantised].astype(int)).max() <= highest_level(bits)
    assert (made.packed_bytes < made.bytes) == (bits < 8)
    history = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert history[-1]["step"] == report.steps == 4
    assert (history[-1]["features"] > 0) == (method == "lsq-distil")
    assert (tmp_path / CURVE).read_text().startswith("<?xml")
    assert json.loads((tmp_path / REPORT).read_text())["graphs"]["image"]["sha256"] == made.sha256


@pytest.mark.parametrize("method", ["lsq", "lsq-distil"])
def test_at_32_bits_the_fp32_tower_itself_is_trained(clip_fp32: Path, tmp_path: Path, method: str) -> None:
    asked = plan(clip_fp32, method, 32)
    made = train(asked, tmp_path, progress=False).graphs["image"]
    # Sums in another order are all that may part PyTorch from ONNX Runtime, and the steps are few and small.
    assert made.to_trained >= 1 - 1e-6
    assert 0.99 < made.to_fp32 < 1
    model = onnx.load(tmp_path / IMAGE)
    assert not {"QuantizeLinear", "DequantizeLinear"} & {node.op_type for node in model.graph.node}
    untrained = start(clip_fp32, 32, lambda: (asked.examples.batch([row], None).numpy() for row in range(8)))
    x = asked.examples.batch([0, 1, 2], None)
    with torch.no_grad():
        torch.testing.assert_close(untrained.student(x), untrained.teacher(x), rtol=1e-5, atol=1e-5)


def test_a_rotation_of_what_is_not_rounded_is_refused(clip_fp32: Path) -> None:
    with pytest.raises(UserError, match="rot-lsq in 32 bits: a rotation changes nothing"):
        plan(clip_fp32, "rot-lsq", 32)


def test_scales_per_channel_are_learned(clip_fp32: Path, tmp_path: Path) -> None:
    report = train(plan(clip_fp32, options=replace(SHORT, per_channel=True)), tmp_path, progress=False)
    assert report.graphs["image"].to_trained >= 0.9999
    model = onnx.load(tmp_path / IMAGE)
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    assert all(sizes[weight.scale] > 1 for weight in read_levels(model).weights)


def test_pockets_tower_trains(tiny_tower: ImageTower, tmp_path: Path) -> None:
    onnx.save(export_image_tower(tiny_tower), tmp_path / "fp32.onnx")
    for method in ("lsq", "rot-lsq"):
        asked = Plan(tmp_path / "fp32.onnx", method, 4, drawn_images(64), drawn_texts(512), SHORT)
        assert train(asked, tmp_path / method, progress=False).graphs["image"].to_trained >= 0.9999
    # Its quantised graph has no Relu: the levels end where they cut.
    asked = Plan(tmp_path / "fp32.onnx", "lsq-distil", 32, drawn_images(64), drawn_texts(512), replace(SHORT, steps=1))
    made = train(asked, tmp_path / "fp32", progress=False).graphs["image"]
    assert made.to_trained >= 1 - 1e-6
    assert json.loads((tmp_path / "fp32" / LOG).read_text())["features"] < 1e-6


def test_a_tower_of_convolutions_trains_but_is_not_rotated(tmp_path: Path) -> None:
    from open_clip.model import CLIP

    torch.manual_seed(6)
    tower = CLIP(**CONFIGURATIONS["resnet"]).eval().visual
    fp32 = export_tower(tower, torch.zeros(1, 3, 64, 64), "pixel_values", "image_embeds", tmp_path / "fp32.onnx")
    asked = Plan(fp32, "lsq-distil", 8, drawn_images(64), drawn_texts(), SHORT)
    assert train(asked, tmp_path / "lsq", progress=False).graphs["image"].to_trained >= 0.9999
    with pytest.raises(UserError, match="fp32.onnx: the tower cannot be rotated: .*take a method without rotation"):
        train(replace(asked, method="rot-lsq"), tmp_path / "rot", progress=False)


def test_the_text_tower_trains_beside_it(clip_fp32: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    tower = TextTower().eval()
    ids = torch.zeros(CLASSES, 77, dtype=torch.long)
    for row in range(CLASSES):
        ids[row, : row + 3] = torch.tensor([49406, *range(500, 501 + row), 49407])
    with torch.no_grad():
        tower.tokens.weight[ids.unique()] = torch.randn(len(ids.unique()), tower.tokens.embedding_dim)
        tower.projection = torch.nn.Linear(tower.projection.in_features, tiny_clip.DIM)
    onnx.save(export_text_tower(tower), tmp_path / "text.onnx")
    embeds = Graph(tmp_path / "text.onnx")(ids.numpy())
    texts = Texts(embeds, tmp_path / "text.onnx", ids.numpy())
    options = replace(SHORT, texts_a_step=4)
    report = train(Plan(clip_fp32, "lsq-distil", 4, drawn_images(), texts, options), tmp_path / "out", progress=False)
    assert set(report.graphs) == {"image", "text"}
    assert min(made.to_trained for made in report.graphs.values()) >= 0.9999
    assert report.graphs["text"].to_fp32 > 0.9
    assert np.isfinite(Graph(tmp_path / "out" / TEXT)(ids.numpy())).all()


def test_training_beats_rounding(clip_fp32: Path, tmp_path: Path) -> None:
    """In 4 bits, by the distance to fp32 of images that were not trained on."""
    options = replace(SHORT, steps=40, rate=1e-4, feature_weight=100.0, logit_scale=1.0)
    train(plan(clip_fp32, "lsq-distil", options=options), tmp_path, progress=False)
    examples = drawn_images()
    quantize(
        clip_fp32, lambda: iter([examples.batch(range(COUNT), None).numpy()]), Recipe(weight_bits=4), tmp_path / "q"
    )
    unseen = torch.rand(16, 3, tiny_clip.SIZE, tiny_clip.SIZE, generator=torch.Generator().manual_seed(8))
    unseen = ((unseen - 0.5) / 0.25).numpy()
    fp32 = Graph(clip_fp32)(unseen)
    trained, rounded = (float((Graph(tmp_path / name)(unseen) * fp32).sum(1).mean()) for name in (IMAGE, "q"))
    assert 1 - trained < 0.75 * (1 - rounded)


def test_a_killed_run_goes_on_to_the_same_bytes(clip_fp32: Path, tmp_path: Path) -> None:
    options = replace(SHORT, steps=24)
    whole = train(plan(clip_fp32, options=options), tmp_path / "whole", progress=False)
    asked = plan(clip_fp32, options=options)
    calls = 0

    def dying(rows: list[int]) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > SHORT.range_images + 15:
            raise KeyboardInterrupt
        return asked.examples.pixels(rows)

    with pytest.raises(KeyboardInterrupt):
        train(replace(asked, examples=replace(asked.examples, pixels=dying)), tmp_path / "killed", progress=False)
    assert [path.name for path in (tmp_path / "killed").iterdir()] == [CHECKPOINT]
    again = train(asked, tmp_path / "killed", progress=False)
    assert again.graphs == whole.graphs
    for name in (IMAGE, LOG, CURVE):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()

    with pytest.raises(UserError, match="checkpoint.pt: of a training with another tower, method, images or settings"):
        train(replace(asked, bits=6), tmp_path / "whole", progress=False)
    (tmp_path / "whole" / CHECKPOINT).write_bytes(b"cut off")
    with pytest.raises(UserError, match="checkpoint.pt: damaged"):
        train(asked, tmp_path / "whole", progress=False)


def test_a_diverged_run_is_an_error(clip_fp32: Path, tmp_path: Path) -> None:
    asked = plan(clip_fp32, options=replace(SHORT, logit_scale=float("inf")))
    with pytest.raises(UserError, match="lsq, w4a8: the loss became .* in step 1"):
        train(asked, tmp_path, progress=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "lsqq"}, "method 'lsqq': one of lsq, lsq-distil, rot-lsq"),
        ({"bits": 5}, "5 bits: weights take one of 32, 8, 6, 4"),
        ({"examples": drawn_images(count=1)}, "1 training images: at least 2"),
        ({"texts": drawn_texts(rows=3)}, "3 texts: at least 2 are needed, and one for every class"),
        ({"texts": replace(drawn_texts(), ids=np.zeros((5, 7), int))}, "a text tower is trained on token ids"),
    ],
)
def test_a_wrong_plan_is_refused(clip_fp32: Path, change: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        replace(plan(clip_fp32), **change)


@pytest.mark.parametrize(
    "change", [{"steps": 0}, {"batch": 1}, {"rate": 0.0}, {"rate": np.inf}, {"label_smoothing": 1.0}]
)
def test_wrong_options_are_refused(change: dict) -> None:
    name = next(iter(change)).replace("_", " ")
    with pytest.raises(UserError, match=f"{name} .*: too small, or out of range"):
        Options(**change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": -1}, "seed -1: take one from 0 to 4294967295"),
        ({"seed": 2**63}, "seed 9223372036854775808: take one from 0"),
        ({"device": "tpu"}, "device 'tpu': one of cpu, cuda"),
    ],
)
def test_seeds_and_devices_are_those_that_pytorch_takes(change: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Options(**change)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for place, label in enumerate(("cat", "tea_pot")):
        write_pictures(folder / label, 9, first_seed=10 * place, hue=place)
    labels = [Label(name, "", []) for name in ("cat", "tea pot", "dog")]
    bank = Bank(labels, drawn_texts(rows=3).embeds, [], np.empty((0, tiny_clip.DIM), np.float32))
    (folder.parent / "bank.safetensors").write_bytes(bank.file())
    return folder


def words_for(fp32: Path, photos: Path, output: Path) -> list[str]:
    words = ["qat", str(fp32), "--images", str(photos), "--labels", str(photos.parent / "bank.safetensors")]
    return [*words, "-o", str(output), "--steps", "3", "--batch", "4", "--method", "lsq", "--bits", "4"]


def test_the_command_trains(clip_fp32: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cli.main(words_for(clip_fp32, photos, tmp_path / "out")) == 0
    said = capsys.readouterr().out
    assert f"{IMAGE}: lsq, w4a8, cosine to fp32 0." in said and "with weights packed" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([IMAGE, CHECKPOINT, LOG, CURVE, REPORT])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--method", "magic"], "--method magic: one of lsq, lsq-distil, rot-lsq"),
        (["--steps", "0"], "steps 0: too small"),
        (["--images", "nowhere"], "nowhere: no such folder"),
        (["--labels", "nowhere.safetensors"], "nowhere.safetensors: No such file"),
        (["--train-text"], "--train-text: give the fp32 text tower"),
        (["--text", "text.onnx"], "--text and --tokenizer: a text tower needs both"),
    ],
)
def test_a_mistake_is_one_line(
    clip_fp32: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    assert cli.main([*words_for(clip_fp32, photos, tmp_path / "out"), *more]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said and "\n" not in said
    assert not list(tmp_path.iterdir())


def test_an_interrupted_command_says_how_to_go_on(
    clip_fp32: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "train", interrupted)
    assert cli.main(words_for(clip_fp32, photos, tmp_path / "out")) == 130
    assert "interrupted (SIGINT); run it again to go on from the last checkpoint in" in capsys.readouterr().err


def test_photos_in_one_heap_are_refused(clip_fp32: Path, tmp_path: Path, photos: Path, capsys) -> None:
    write_pictures(tmp_path / "heap", 16)
    assert cli.main([*words_for(clip_fp32, photos, tmp_path / "out"), "--images", str(tmp_path / "heap")]) == 2
    assert "training needs one folder of photos a label" in capsys.readouterr().err
