"""The config of a study: what it says, and every mistake in one line that names it."""

from pathlib import Path

import pytest

from clipgate_export.errors import UserError
from clipgate_export.images import ImageFile, ImageFolder
from clipgate_export.study.config import Corruptions, Study
from clipgate_export.study.inputs import Inputs
from clipgate_export.study.methods import METHODS

WHOLE = """
seed = 7
methods = ["lsq", "minmax"]
bits = [4, 8]
range_images = 32
[images]
ranges = "photos"
training = "photos"
reporting = "photos"
[[ood]]
name = "others"
kind = "near"
images = "photos"
[[source]]
name = "mine"
bundle = "photos"
[qat]
steps = 12
rate = 1e-3
[corruptions]
images = 5
severities = [5, 1]
"""


def write(folder: Path, text: str) -> Path:
    (folder / "photos").mkdir(exist_ok=True)
    path = folder / "study.toml"
    path.write_text(text)
    return path


def test_a_whole_config_is_read(tmp_path: Path) -> None:
    study = Study.read(write(tmp_path, WHOLE))
    assert study.methods == ("minmax", "lsq"), "the simpler first"
    assert study.bits == (8, 4) and study.seed == study.qat.seed == 7
    assert study.ranges == tmp_path / "photos" and study.sources[0].bundle == tmp_path / "photos"
    assert (study.qat.steps, study.qat.rate, study.range_images) == (12, 1e-3, 32)
    assert study.corruptions == Corruptions(5, (1, 5))


def test_methods_and_training_may_be_left_out(tmp_path: Path) -> None:
    text = WHOLE.replace('methods = ["lsq", "minmax"]\n', "")
    assert Study.read(write(tmp_path, text)).methods == tuple(METHODS)
    text = WHOLE.replace('"lsq", ', "").replace('training = "photos"\n', "")
    assert Study.read(write(tmp_path, text)).training is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"lsq"', '"lsq2"', "methods: 'lsq2' is unknown; there are minmax,"),
        ("[4, 8]", "[4, 5]", "bits: 5; weights take 32, 8, 6, 4"),
        (
            '["lsq", "minmax"]\nbits = [4, 8]',
            '["entropy"]\nbits = [4]',
            "bits: entropy: no method takes weights of 4 bits",
        ),
        ("[4, 8]", "[]", "bits: []: give a list of whole numbers, at least one and none twice"),
        ("seed = 7", "seed = -1", "seed: -1 is not from 0 to 4294967295"),
        ("seed = 7", "sed = 7", "sed: no such key; the nearest is 'seed'"),
        ("range_images = 32", "range_images = 3", "range_images: 3 is below 16"),
        ('ranges = "photos"', 'ranges = "fotos"', "images.ranges: "),
        ('training = "photos"', "", "images.training: is missing"),
        ('kind = "near"', 'kind = "odd"', "ood 1: kind: 'odd'; it is one of near, far"),
        ('name = "mine"', 'name = "a=b"', "source 1: name: "),
        ("[[source]]", "[[sauce]]", "sauce: no such key"),
        ("steps = 12", "steps = 0", "qat: steps 0: too small"),
        ("steps = 12", "steps = true", "qat.steps: True: give a whole number"),
        ("steps = 12", 'device = "tpu"', "qat: device 'tpu': one of cpu, cuda"),
        ("rate = 1e-3", "rate = inf", "qat: rate inf: "),
        ("rate = 1e-3", 'rate = "1"', "qat.rate: '1': give a whole number or a number with a point"),
        ("[5, 1]", "[6]", "corruptions.severities: 6; it is 1 to 5"),
        ("[corruptions]", "[promise]\nrisk = 1.5\n[corruptions]", "promise.risk: 1.5 is not between 0 and 1"),
        ("[corruptions]", "[corruptions", "not TOML"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in WHOLE
    path = write(tmp_path, WHOLE.replace(old, new, 1))
    with pytest.raises(UserError) as refused:
        Study.read(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ") and says in message and "\n" not in message


def test_names_are_unique(tmp_path: Path) -> None:
    again = '[[source]]\nname = "mine"\nbundle = "photos"\n'
    with pytest.raises(UserError, match="'mine' names two"):
        Study.read(write(tmp_path, WHOLE + again))
    with pytest.raises(UserError, match="source: is missing"):
        Study.read(write(tmp_path, WHOLE.replace('[[source]]\nname = "mine"\nbundle = "photos"\n', "")))
    with pytest.raises(UserError, match="cannot be read"):
        Study.read(tmp_path / "none.toml")


def folder(path: Path, *contents: bytes) -> ImageFolder:
    return ImageFolder(path, [ImageFile(path / f"{content!r}", None, content) for content in contents], [])


def test_images_that_were_seen_before_are_told(tmp_path: Path) -> None:
    study = Study.read(write(tmp_path, WHOLE))
    ranges, reporting, training = (
        folder(tmp_path / name, *name.encode().split(b"-")) for name in ("a", "b-c-d", "c-d")
    )
    (told,) = (
        line for line in Inputs(study, {}, ranges, reporting, training, (), tmp_path, "").missing if "among" in line
    )
    assert told.startswith(f"2 of the reporting images are among those of {training.path} (training)")


def test_a_method_without_rows_is_named(tmp_path: Path) -> None:
    study = Study.read(
        write(tmp_path, WHOLE.replace('["lsq", "minmax"]', '["entropy", "minmax"]').replace("[4, 8]", "[4]"))
    )
    inputs = Inputs(study, {}, folder(tmp_path), folder(tmp_path), None, (), tmp_path, "")
    assert "entropy: not with weights of 4 bits: no rows" in inputs.missing
    assert not any(line.startswith("minmax") for line in inputs.missing)
