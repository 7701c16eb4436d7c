"""What a source tells about a model: fp32 graphs on disk, and all that an image and a text need before them."""

from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import UserError

RESIZES = ("shortest_edge", "squash")
INTERPOLATIONS = ("bicubic", "bilinear")
LARGEST_SIZE = 1024


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes pixel_values [3, size, size]: the manifest's `preprocessing`.

    `shortest_edge` scales the shorter side to `size` and cuts out the centre, `squash` scales both sides to `size`.
    Then (value / 255 - mean) / std for each of red, green and blue.
    """

    size: int
    resize: str
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not 1 <= self.size <= LARGEST_SIZE:
            raise UserError(f"preprocessing: size {self.size} is not from 1 to {LARGEST_SIZE}")
        for name, value, known in (
            ("resize", self.resize, RESIZES),
            ("interpolation", self.interpolation, INTERPOLATIONS),
        ):
            if value not in known:
                raise UserError(f"preprocessing: {name} {value!r} cannot be followed; there are {', '.join(known)}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise UserError("preprocessing: mean and std need three numbers each, std above 0")

    def record(self) -> dict:
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}


@dataclass(frozen=True)
class TextSpec:
    """What a text needs before the text tower; `prompt_template` holds one `{}` for the label.

    `tokenizer_json` is a Hugging Face `tokenizers` file that pads and cuts to `context_length`.
    """

    context_length: int
    prompt_template: str
    tokenizer_json: bytes


@dataclass(frozen=True)
class Model:
    """A dual encoder whose towers are fp32 ONNX files of fixed shapes, opset 20 if exported here.

    `image`: pixel_values f32 [1, 3, S, S] to image_embeds f32 [1, D]; `text`: input_ids i64 [1, T] to text_embeds
    f32 [1, D]; neither normalised. `logit_scale` is the factor on cosines, not its logarithm. With a `logit_bias`
    the model was trained with a sigmoid loss (Zhai et al. 2023, arXiv 2303.15343).
    """

    family: str
    architecture: str
    source: str
    licence: str
    image: Path
    text: Path | None
    preprocessing: Preprocessing
    text_spec: TextSpec | None
    embedding_dim: int
    logit_scale: float
    logit_bias: float | None
    activation: str
