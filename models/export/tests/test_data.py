import subprocess
import sys
from pathlib import Path

import pytest

from clipgate_export.data import read_text_embeddings, read_tiny_imagenet
from clipgate_export.errors import UserError


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tiny-imagenet-train-0.safetensors: not found.*models/README.md"):
        read_tiny_imagenet(tmp_path)
    with pytest.raises(UserError, match="clip-vit-b32-text.safetensors: not found"):
        read_text_embeddings(tmp_path, ["n01443537"])


@pytest.mark.parametrize("module", ["pocket", "train", "train_text"])
def test_the_commands_say_so_in_one_line_and_write_nothing(module: str, tmp_path: Path, pocket: Path) -> None:
    output = tmp_path / "out"
    arguments = {
        "pocket": ["--work", str(tmp_path / "work"), "-o", str(pocket)],
        "train": ["--splits", str(pocket / "splits.json"), "-o", str(output)],
        "train_text": ["--models", str(pocket), "-o", str(output)],
    }[module]
    done = subprocess.run(
        [sys.executable, "-m", f"clipgate_export.{module}", "--data", str(tmp_path / "none"), *arguments],
        capture_output=True,
        text=True,
        cwd=pocket.parent / "export",
    )
    assert done.returncode == 2
    assert "not found" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not output.exists()
