"""Whatever ends a command from outside: one line, the status that a shell expects, and nothing left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from tiny_models import write_pictures
from tiny_onnx import image_tower, write_pair

from clipgate_export import cli, export
from clipgate_export.quantization import source
from clipgate_export.stopping import Stopped, stoppable, undisturbed

EXPORT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "reading the model"),
        (signal.SIGTERM, "quantising the image tower"),
        (signal.SIGHUP, "  recipe:"),
    ],
)
def test_a_stopped_bundle_leaves_nothing(number: signal.Signals, moment: str, tmp_path: Path) -> None:
    pair = write_pair(tmp_path / "pair", EXPORT.parent / "pocket" / "tokenizer.json")
    write_pictures(tmp_path / "photos", 16)
    (tmp_path / "temporary").mkdir()
    before = sorted(tmp_path.rglob("*"))
    command = [sys.executable, "-m", "clipgate_export", "bundle", *pair, "--images", str(tmp_path / "photos")]
    running = subprocess.Popen(
        [*command, "-o", str(tmp_path / "a" / "b" / "mine")],
        stderr=subprocess.PIPE,
        text=True,
        cwd=EXPORT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path / "temporary")},
        # Under nohup, or in a shell's background, these tests are started with some of them ignored.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith(moment):
            running.send_signal(number)
            # An impatient second one.
            running.send_signal(number)
            break
    last = running.stderr.read().splitlines()[-1]
    assert running.wait() == 128 + number
    assert last == f"clipgate-export: interrupted ({number.name}); nothing was written"
    assert sorted(tmp_path.rglob("*")) == before


def test_handlers_are_put_back_and_ignored_signals_stay_ignored() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            # As nohup starts a command.
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            with pytest.raises(Stopped) as caught:
                signal.raise_signal(signal.SIGTERM)
            assert caught.value.number == signal.SIGTERM
            with undisturbed():
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGHUP, before[signal.SIGHUP])
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_full_disk_is_called_one_where_a_library_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    onnx.save(image_tower(), tmp_path / "fp32.onnx")
    write_pictures(tmp_path / "photos", 16)
    free = type("Usage", (), {"free": 100})
    monkeypatch.setattr(source.shutil, "disk_usage", lambda folder: free)
    words = ["quantize", str(tmp_path / "fp32.onnx"), "--images", str(tmp_path / "photos")]
    assert cli.main([*words, "-o", str(tmp_path / "int8.onnx")]) == 2
    said = capsys.readouterr().err
    assert "the disk is full" in said and "set TMPDIR" in said and said.count("\n") == 1


def test_a_short_write_of_weights_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def short(*_: object, **__: object) -> None:
        raise OSError("problem writing element 1024 to file")

    monkeypatch.setattr(export.onnx_ir, "save", short)
    with pytest.raises(OSError, match="No space left.*tower.onnx"):
        export.export_tower(torch.nn.Flatten(), torch.zeros(1, 2, 3), "x", "y", tmp_path / "tower.onnx")
