"""A checkpoint's weights into an open_clip model, or in one line why they are not its own."""

import pickle
import re
import warnings
import zipfile
from pathlib import Path

import torch
from open_clip.factory import load_checkpoint
from torch import nn

from ..errors import UserError
from ..onnx_files import one_line

# How torch tells of tensors that do not fit, one a line.
MISFIT = re.compile(
    r"size mismatch for (\S+): copying a param with shape torch\.Size\((\[.*?\])\) from checkpoint, "
    r"the shape in current model is torch\.Size\((\[.*?\])\)"
)
UNSAFE = re.compile(r"GLOBAL (\S+) was not an allowed global")
# What OpenAI's archives hold beside the weights (open_clip's `build_model_from_openai_state_dict`).
SETTINGS = ("input_resolution", "context_length", "vocab_size")
POINTER = b"version https://git-lfs"


def read_weights(model: nn.Module, file: Path) -> None:
    """Fills `model` from safetensors, a state dict of torch, big_vision's npz or a TorchScript archive."""
    try:
        if is_torchscript(file):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                weights = torch.jit.load(str(file), map_location="cpu").state_dict()
            found = model.load_state_dict({k: v for k, v in weights.items() if k not in SETTINGS}, strict=False)
        else:
            found = load_checkpoint(model, str(file), strict=False)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or one_line(error, 120)})") from error
    except pickle.UnpicklingError as error:
        unsafe = UNSAFE.search(str(error))
        if unsafe is None:
            raise UserError(not_a_checkpoint(file)) from error
        raise UserError(
            f"{file}: holds a {unsafe[1]}, and to load it would run code of the file; save its state_dict() alone, "
            "where you trust it"
        ) from error
    except Exception as error:
        misfits = MISFIT.findall(str(error))
        if not misfits:
            raise UserError(not_a_checkpoint(file)) from error
        name, stored, asked = misfits[0]
        raise misfit(file, f"{name} is {stored}, not {asked}", len(misfits)) from error
    missing, unexpected = getattr(found, "missing_keys", []), getattr(found, "unexpected_keys", [])
    if missing:
        raise misfit(file, f"{missing[0]} is missing", len(missing))
    if unexpected:
        raise misfit(file, f"the model has no {unexpected[0]}", len(unexpected))


def misfit(file: Path, first: str, count: int) -> UserError:
    others = f" ({count - 1} more tensors like it)" if count > 1 else ""
    return UserError(f"{file}: not this model's checkpoint: {first}{others}; take the model that it was trained as")


def not_a_checkpoint(file: Path) -> str:
    """What the file seems to be instead."""
    with file.open("rb") as opened:
        head = opened.read(len(POINTER))
    kind = "damaged, or of a format that open_clip does not read"
    if not head:
        kind = "empty"
    elif head == POINTER:
        kind = "only a pointer of Git LFS to the checkpoint"
    elif head.lstrip().startswith(b"<"):
        kind = "a web page"
    return f"{file}: {kind}, no checkpoint; fetch it again"


def is_torchscript(file: Path) -> bool:
    """An archive with code in it, as OpenAI published CLIP: torch.load leaves it to torch.jit.load."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def has_quick_gelu(file: Path) -> bool | None:
    """Whether a TorchScript archive computes x sigmoid(1.702 x) for GELU; nothing where it computes neither."""
    with zipfile.ZipFile(file) as archive:
        code = b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".py"))
    gelu, sigmoid = b"gelu(" in code, b"sigmoid(" in code
    return sigmoid if gelu != sigmoid else None
