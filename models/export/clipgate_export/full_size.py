"""The full-size photos of the card, decided by the clipgate command itself: JPEG decoders differ by a few units,
which moves a score of a 64-pixel image by some hundredths."""

import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

from . import metrics
from .data import FULL_SIZE, Splits, require
from .errors import UserError

OTHER_TINY = "other class of Tiny ImageNet"
GROUPS = ("labelled", OTHER_TINY, "other")


def measure_photos(command: Path, bundle: Path, data: Path, splits: Splits) -> dict:
    """The photos one by one and the shares of each group, by the bundle's bank and by its labels given in words."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(require(data, FULL_SIZE)) as archive:
            archive.extractall(folder, filter="data")
        photos = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        words = Path(folder) / "labels.txt"
        words.write_text("".join(f"{name}\n" for name in splits.label_names))
        rows = decide(command, bundle, photos, splits, [])
        in_words = decide(command, bundle, photos, splits, ["--labels", str(words)])
    return {"shares": shares(rows), "shares_in_words": shares(in_words), "rows": rows}


def decide(command: Path, bundle: Path, photos: list[Path], splits: Splits, options: list[str]) -> list[dict]:
    """What the command says of each photo, `.../in/WNID/FILE` or `.../other/FILE`, beside what it shows."""
    asked = [str(command), "classify", "--bundle", str(bundle), "--format", "json", *options, *map(str, photos)]
    done = subprocess.run(asked, capture_output=True, text=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode != 0 or len(answers) != len(photos):
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise UserError(f"{command} classify: exit {done.returncode}, {len(answers)} of {len(photos)} answers: {said}")
    rows = []
    for photo, answer in zip(photos, answers, strict=True):
        wnid = photo.parent.name if photo.parent.parent.name == "in" else ""
        own = splits.label_names[splits.label_wnids.index(wnid)] if wnid in splits.label_wnids else None
        best = answer["top"][0] if answer["top"] else {"label": "nothing", "probability": 0.0}
        rows.append(
            {
                "photo": photo.name,
                "group": "labelled" if own else OTHER_TINY if wnid else "other",
                "label": own,
                "best": best["label"],
                "confidence": round(best["probability"], 3),
                "scores": {
                    kind: round(value, 3) for kind, value in (answer["scores"] or {}).items() if value is not None
                },
                "accepted": answer["decision"] == "accept",
                "right": best["label"] == own if own else None,
            }
        )
    return rows


def shares(rows: list[dict]) -> dict:
    """Of each group the accepted share, and of photos that show a label what is right."""
    found: dict = {}
    for group in GROUPS:
        members = [row for row in rows if row["group"] == group]
        taken = [row for row in members if row["accepted"]]
        found[group] = {"accepted": metrics.share(len(taken), len(members)).record()}
        if group == "labelled":
            found[group]["top1"] = metrics.share(sum(row["right"] for row in members), len(members)).record()
            right = sum(row["right"] for row in taken)
            found[group]["right_of_accepted"] = metrics.share(right, len(taken)).record()
    return found
