"""`clipgate evaluate` as a judge: copies of a bundle around other graphs, and the report that it prints."""

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .bundle import to_json
from .errors import UserError
from .files import write_bytes


def copy(bundle: Path, contents: Mapping[str, bytes], name: str, folder: Path, calibrated: bool) -> Path:
    """The bundle under another name with other `contents` of some of its files, such as the image encoder.

    Its calibration is of the bundle's own graph: in the copy it only names the score, or is left out.
    """
    manifest = json.loads((bundle / "manifest.json").read_text())
    for file in manifest["files"]:
        content = contents.get(file)
        if content is None:
            content = (bundle / file).read_bytes()
        else:
            manifest["files"][file] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        write_bytes(folder / file, content)
    manifest["id"] = name
    if not calibrated:
        manifest.pop("calibration", None)
    write_bytes(folder / "manifest.json", to_json(manifest))
    return folder


def evaluate(clipgate: Path, words: Sequence[str]) -> dict:
    """The report in JSON; UserError with the command's last line where there is none."""
    return json.loads(call(clipgate, ["evaluate", "--format", "json", *words]))


def call(clipgate: Path, words: Sequence[str]) -> str:
    """What the command prints; UserError names it and what it said last where it fails."""
    try:
        done = subprocess.run([str(clipgate), *words], capture_output=True, text=True)
    except OSError as error:
        raise UserError(f"{clipgate}: {error.strerror}: build it with `cargo build --release`, or name it") from error
    if done.returncode < 0:
        raise UserError(f"clipgate {words[0]}: ended by signal {-done.returncode}; perhaps there is too little memory")
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1].removeprefix("clipgate: ")
        raise UserError(f"clipgate {words[0]}: exit {done.returncode}: {said}")
    return done.stdout
