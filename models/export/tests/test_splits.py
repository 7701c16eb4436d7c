import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from clipgate_export.data import Images, Splits, read_named_text_embeddings, read_tiny_imagenet
from clipgate_export.errors import UserError
from clipgate_export.names import group_key, read_split, split_names


def test_no_image_serves_two_roles(pocket: Path) -> None:
    splits = Splits.read(pocket / "splits.json")
    counts = Counter(index for indices in splits.held_out.values() for index in indices)
    assert max(counts.values()) == 1
    assert not set(splits.trained_wnids) & set(splits.never_trained_wnids)
    assert set(splits.label_wnids) <= set(splits.trained_wnids)
    assert len(splits.label_names) == len(set(splits.label_names)) >= 48


def test_every_trained_class_gives_the_same_share(pocket: Path, data: Path) -> None:
    splits, wnids = Splits.read(pocket / "splits.json"), read_tiny_imagenet(data).wnids
    for role, count in {"quantisation": 10, "temperature": 15, "thresholds": 25}.items():
        assert Counter(wnids[i] for i in splits.held_out[role]) == dict.fromkeys(splits.trained_wnids, count)


def test_names_that_read_the_same_stay_on_one_side() -> None:
    names = ["Teddy bear", "teddy_bear", "Teddy Bears", "kite (bird of prey)", "kite"] + [
        f"thing {n}" for n in range(95)
    ]
    kept, held_out = split_names(names, ["Goldfish", "thing 7"])
    assert sorted(kept + held_out) == list(range(len(names)))
    assert not {group_key(names[row]) for row in kept} & {group_key(names[row]) for row in held_out}
    assert len(held_out) >= 9
    assert names.index("thing 7") in kept
    assert (kept, held_out) == split_names(names, ["Goldfish", "thing 7"])


def test_the_committed_names_do_not_leak(pocket: Path, data: Path) -> None:
    names, _ = read_named_text_embeddings(data)
    kept, held_out = read_split(pocket / "text_split.json", names)
    assert not {group_key(names[row]) for row in kept} & {group_key(names[row]) for row in held_out}
    assert json.loads((pocket / "text_split.json").read_text())["names"] == len(names)


def test_splits_that_leak_or_lie_are_refused(pocket: Path, tmp_path: Path) -> None:
    splits = Splits.read(pocket / "splits.json")
    count = 1 + max(index for indices in splits.held_out.values() for index in indices)
    wnid_of = {}
    for indices in splits.held_out.values():
        for place, index in enumerate(indices):
            wnid_of[index] = splits.trained_wnids[place % len(splits.trained_wnids)]
    images = Images([b""] * count, [wnid_of.get(index, splits.trained_wnids[0]) for index in range(count)])
    splits.check(images, Path("splits.json"))

    twice = splits.held_out | {"thresholds": splits.held_out["temperature"]}
    beyond = splits.held_out | {"temperature": [count + 5, *splits.held_out["temperature"][1:]]}
    uneven = splits.held_out | {"temperature": splits.held_out["temperature"][1:]}
    for held_out, words in ((twice, "two roles"), (beyond, "not there"), (uneven, "same number")):
        with pytest.raises(UserError, match=words):
            replace(splits, held_out=held_out).check(images, Path("splits.json"))
    broken = tmp_path / "splits.json"
    for content in ("", "{}", '{"labels": 3}'):
        broken.write_text(content)
        with pytest.raises(UserError, match="splits.json: not the record"):
            Splits.read(broken)
