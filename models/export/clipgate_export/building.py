"""A folder that appears whole at its place, or not at all, whatever interrupts its making."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError
from .stopping import undisturbed


@contextmanager
def building(output: Path) -> Iterator[tuple[Path, Path]]:
    """Two empty folders beside `output`: the first becomes `output` at the end, the second is for work and goes.

    Both are removed on an error and on whatever interrupts.
    """
    refuse_existing(output)
    missing = [parent for parent in output.absolute().parents if not parent.exists()]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    except OSError as error:
        raise UserError(f"{output}: cannot be made ({error.strerror}); choose another -o") from error
    try:
        folder, work = temporary / "bundle", temporary / "work"
        folder.mkdir(mode=0o755)
        work.mkdir()
        yield folder, work
        refuse_existing(output)
        if output.is_dir():
            output.rmdir()
        os.rename(folder, output)
    finally:
        with undisturbed():
            shutil.rmtree(temporary, ignore_errors=True)
            if not output.exists():
                remove_empty(missing)


def remove_empty(folders: Sequence[Path]) -> None:
    """Those of `folders`, the innermost first, that hold nothing."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def refuse_existing(output: Path) -> None:
    """An empty folder may be there already."""
    if output.is_dir() and not any(output.iterdir()):
        return
    if output.exists() or output.is_symlink():
        raise UserError(f"{output}: is there already; remove it first or choose another -o")


def refuse_unwritable(folder: Path) -> None:
    """A folder that is there, or can be made, and takes files."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: no folder that can be written to; choose another")
