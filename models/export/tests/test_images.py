"""A user's folder of images: what is taken, skipped, refused, and into which parts it is split."""

import errno
import os
from pathlib import Path

import numpy as np
import open_clip
import pytest
from PIL import Image
from tiny_models import write_pictures

from clipgate_export.errors import UserError
from clipgate_export.images import ImageFolder, spaced
from clipgate_export.preprocess import decode, pixel_values
from clipgate_export.spec import Preprocessing
from clipgate_export.threads import available

PREPROCESSING = Preprocessing(32, "squash", "bilinear", (0.5, 0.4, 0.3), (0.5, 0.6, 0.7))


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        ImageFolder.read(path, progress=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_broken_images_are_named_and_skipped(tmp_path: Path) -> None:
    write_pictures(tmp_path, 18)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "000.jpg").read_bytes()[:300])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "notes.txt").write_text("not looked at")
    folder = ImageFolder.read(tmp_path, progress=False)
    assert len(folder.files) == 18 and folder.labels == []
    assert "skipped 2 images" in folder.warning() and "cut.jpg" in folder.warning()
    assert "text.png: of no format that Pillow knows" in folder.warning() and " at 0x" not in folder.warning()
    batches = list(folder.batches(PREPROCESSING))
    assert {batch.shape for batch in batches} == {(1, 3, 32, 32)}
    assert folder.digest() == ImageFolder.read(tmp_path, progress=False).digest()


def test_too_few_none_or_nowhere(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")
    assert "no images" in refusal(tmp_path)
    write_pictures(tmp_path, 3)
    assert "3 images" in refusal(tmp_path) and "at least 16" in refusal(tmp_path)


def test_an_unreadable_folder_is_named_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path / "cat", 16)
    locked = tmp_path / "dog" / "brown"
    locked.mkdir(parents=True)
    scan = os.scandir

    def refusing(path: os.PathLike) -> object:
        # As for a user who may not; root may read everything.
        if Path(path) == locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    for folder in (tmp_path, locked):
        assert f"{locked}: cannot be read (Permission denied)" in refusal(folder)


def test_links_to_folders_are_followed_and_may_go_round(tmp_path: Path) -> None:
    write_pictures(tmp_path / "elsewhere", 16)
    photos = tmp_path / "photos"
    write_pictures(photos / "dog", 1)
    (photos / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "round").symlink_to(photos)
    (photos / "dog" / "again").symlink_to(photos / "dog")
    found = ImageFolder.read(photos, progress=False)
    assert (len(found.files), found.labels) == (17, ["cat", "dog"])


def test_labelled_images_are_split_without_overlap(tmp_path: Path) -> None:
    for place, label in enumerate(("cat", "dog", "fox")):
        write_pictures(tmp_path / label, 20, 100 * place)
    folder = ImageFolder.read(tmp_path, progress=False)
    assert folder.labels == ["cat", "dog", "fox"]
    parts = folder.split(most_for_ranges=12)
    assert [len(part) for part in parts] == [12, 24, 24]
    assert sorted(row for part in parts for row in part) == list(range(60))
    assert parts == folder.split(most_for_ranges=12)
    assert [folder.files[row].label for row in parts[1]].count("dog") == 8


@pytest.mark.parametrize(
    ("count", "most", "ranges"),
    [(16, 256, 16), (31, 256, 31), (32, 256, 22), (60, 256, 40), (60, 16, 16)],
)
def test_images_without_labels_are_kept_back_where_there_are_enough(
    count: int, most: int, ranges: int, tmp_path: Path
) -> None:
    write_pictures(tmp_path, count)
    taken, *halves = ImageFolder.read(tmp_path, progress=False).split(most)
    assert (len(set(taken)), halves) == (ranges, [[], []]) and max(taken) < count


def test_many_labels_of_few_images_keep_to_the_limits(tmp_path: Path) -> None:
    for place in range(20):
        write_pictures(tmp_path / f"label{place}", 2, 10 * place)
    folder = ImageFolder.read(tmp_path, progress=False)
    assert len(folder.split(16)[0]) == 16
    write_pictures(tmp_path / "few" / "dog", 8)
    write_pictures(tmp_path / "few" / "cat", 9)
    assert len(ImageFolder.read(tmp_path / "few", progress=False).split(256)[0]) == 16


@pytest.mark.parametrize(("count", "most"), [(260, 256), (16, 16), (5, 9)])
def test_spaced_rows_are_as_many_as_may_be(count: int, most: int) -> None:
    rows = spaced(count, most)
    assert len(set(rows)) == min(count, most) and rows == sorted(rows) and rows[0] == 0 and rows[-1] < count


@pytest.mark.parametrize(("asked", "threads"), [("3", 3), ("2,1", 2), ("abc", None), ("0", None), ("", None)])
def test_threads_are_read_from_what_openmp_takes(
    asked: str, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert available() == (threads or os.cpu_count())


@pytest.mark.parametrize("resize", ["shortest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(90, 61), (20, 47), (32, 32), (300, 33)])
def test_every_preprocessing_is_open_clips(resize: str, interpolation: str, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0], 3), np.uint8)
    ours = Preprocessing(
        32, "squash" if resize == "squash" else "shortest_edge", interpolation, (0.5, 0.4, 0.3), (0.5, 0.6, 0.7)
    )
    reference = open_clip.image_transform(
        32, is_train=False, mean=ours.mean, std=ours.std, resize_mode=resize, interpolation=interpolation
    )
    image = Image.fromarray(pixels)
    assert np.array_equal(pixel_values(image, ours), reference(image).numpy())


def test_decoding_is_pillows(tmp_path: Path) -> None:
    file = write_pictures(tmp_path, 1)[0]
    assert np.array_equal(np.asarray(decode(file.read_bytes())), np.asarray(Image.open(file)))
