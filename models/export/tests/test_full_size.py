import json
import stat
from pathlib import Path

import pytest

from clipgate_export import full_size
from clipgate_export.data import Splits
from clipgate_export.errors import UserError

SPLITS = Splits(["n1", "n2"], ["cat", "dog"], ["n1", "n2"], [], {})


def program(folder: Path, answers: list[dict], status: int = 0) -> Path:
    """A command that prints `answers` whatever it is asked."""
    path = folder / "clipgate"
    lines = "\n".join(json.dumps(answer) for answer in answers)
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\nexit {status}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def answer(best: str, decision: str) -> dict:
    return {"decision": decision, "top": [{"label": best, "probability": 0.5}], "scores": {"msp": 0.4, "sigmoid": None}}


def test_photos_are_counted_by_what_they_show(tmp_path: Path) -> None:
    photos = [tmp_path / "in/n1/a.jpg", tmp_path / "in/n1/b.jpg", tmp_path / "in/n9/c.jpg", tmp_path / "other/n7_d.jpg"]
    unusable = {"decision": "abstain", "top": [], "scores": None}
    said = [answer("cat", "accept"), answer("dog", "accept"), answer("dog", "abstain"), unusable]
    rows = full_size.decide(program(tmp_path, said), tmp_path, photos, SPLITS, [])
    assert [row["group"] for row in rows] == ["labelled", "labelled", full_size.OTHER_TINY, "other"]
    found = full_size.shares(rows)
    assert found["labelled"]["accepted"]["value"] == 1
    assert found["labelled"]["right_of_accepted"]["value"] == 0.5
    assert found["other"]["accepted"] | {"high": 1} == {"value": 0, "low": 0, "high": 1, "n": 1}


def test_a_command_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exit 2, 1 of 1"):
        full_size.decide(program(tmp_path, [answer("cat", "accept")], 2), tmp_path, [tmp_path / "a"], SPLITS, [])
