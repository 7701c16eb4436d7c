"""Goes through the rows of a study: what is finished is skipped, what fails is said, what is killed goes on later."""

import fcntl
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..bundle import to_json
from ..errors import UserError
from ..files import write_bytes
from ..stopping import undisturbed
from .inputs import Inputs
from .measuring import measure
from .process import Failed, Worker
from .results import results, write
from .rows import TEMPORARY, WORK, Row, planned

# tqdm's own estimate would take all rows for alike.
BAR = "{n_fmt}/{total_fmt} |{bar:20}| {elapsed} {desc}{postfix}"


def run(inputs: Inputs, output: Path) -> dict:
    """The record of `results.results`, which is written after every row."""
    rows = planned(inputs)
    done: dict[Row, dict] = {}
    for row in rows:
        if (finished := _read(output, row)) is not None:
            done[row] = finished
    left = [row for row in rows if row not in done]
    with (
        alone(output),
        Worker() as worker,
        tqdm(total=len(rows), initial=len(done), bar_format=BAR, disable=None) as bar,
    ):
        for row in left:
            bar.set_description_str(row.name)
            bar.set_postfix_str(_left(rows, done))
            done[row] = _row(inputs, row, output, worker)
            write(_results(inputs, rows, done), output)
            bar.update()
            if bar.disable:
                print(f"{len(done)} of {len(rows)} rows: {row.name}; {_left(rows, done)}", file=sys.stderr)
    record = _results(inputs, rows, done)
    write(record, output)
    return record


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Refuses a folder that another study is writing to."""
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{output}: another study is writing here; wait for it or choose another -o") from None
        # What a killed study had in hand, and at the end what this one has, if it is interrupted.
        _sweep(output)
        try:
            yield
        finally:
            with undisturbed():
                _sweep(output)


def _sweep(output: Path) -> None:
    for left in (*output.glob(f"{WORK}/{TEMPORARY}*"), *output.glob(f"{WORK}/.*")):
        shutil.rmtree(left, ignore_errors=True)


def _row(inputs: Inputs, row: Row, output: Path, worker: Worker) -> dict:
    named = asdict(row) | {"kind": row.kind, "name": row.name}
    try:
        record = named | worker.run(measure, inputs, row, output)
    except Failed as error:
        tqdm.write(f"{row.name}: failed: {error}", file=sys.stderr)
        return named | {"error": str(error)}
    write_bytes(_path(output, row), to_json(record))
    return record


def _path(output: Path, row: Row) -> Path:
    return output / "rows" / f"{row.key[:32]}.json"


def _read(output: Path, row: Row) -> dict | None:
    path = _path(output, row)
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it to make the row again") from error
    return record if record.get("key") == row.key else None


def _results(inputs: Inputs, rows: list[Row], done: dict[Row, dict]) -> dict:
    return results(inputs, [done[row] for row in rows if row in done])


def _left(rows: list[Row], done: dict[Row, dict]) -> str:
    """How long the rest takes by the mean of finished rows of the same kind; kinds not seen yet are named."""
    known: dict[str, list[float]] = {}
    for row, record in done.items():
        if "seconds" in record:
            known.setdefault(row.kind, []).append(record["seconds"])
    left = [row.kind for row in rows if row not in done]
    seconds = sum(float(np.mean(known[kind])) for kind in left if kind in known)
    unknown = {kind: left.count(kind) for kind in left if kind not in known}
    more = "".join(f" and {count} {kind}" for kind, count in unknown.items())
    return f"about {seconds / 60:.0f} min{more} left" if known else f"{len(left)} rows left"
