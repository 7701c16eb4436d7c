"""The state of an unfinished training on disk."""

import io
import pickle
from pathlib import Path

import torch

from .errors import UserError
from .files import write_bytes


def write_state(path: Path, state: dict) -> None:
    """Writes it whole; through memory, as torch reports a full disk without saying that it is one."""
    content = io.BytesIO()
    torch.save(state, content)
    write_bytes(path, content.getvalue())


def read_state(path: Path) -> dict:
    """What `write_state` wrote."""
    try:
        return torch.load(path, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise UserError(f"{path}: damaged; delete it to start anew") from error
