"""Tokenizer files of any family, as the bundle carries them: what comes before the text tower, in one JSON.

open_clip's text cleaning (ftfy, html.unescape, white space) stays outside the file, where the runtime does it too;
lower case and SigLIP's canonicalisation are in the file's normaliser.
"""

import html
import json
from collections.abc import Sequence
from pathlib import Path

import ftfy
import numpy as np
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

from .errors import UserError
from .onnx_files import one_line

PUNCTUATION = r"[!-/:-@\[-`{-~]"
WHITE_SPACE = r"[\s\x1c-\x1f]+"
SENTENCEPIECE_SUFFIXES = (".model", ".spm")
FOLDER_FILES = ("tokenizer.json", "spiece.model", "sentencepiece.model", "tokenizer.model")
UNIGRAM, CONTROL = 1, 3


class TextTokenizer:
    """The bundle's tokenizer.json as the runtime follows it."""

    def __init__(self, tokenizer_json: bytes) -> None:
        self.inner = Tokenizer.from_str(tokenizer_json.decode())

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """input_ids i64 [N, context length]."""
        encodings = self.inner.encode_batch([clean(text) for text in texts])
        return np.array([encoding.ids for encoding in encodings], np.int64)


def clean(text: str) -> str:
    """open_clip's `basic_clean` and single spaces."""
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split())


def is_clip_bpe(tokenizer_json: bytes) -> bool:
    model = json.loads(tokenizer_json)["model"]
    return model.get("type") == "BPE" and model.get("end_of_word_suffix") == "</w>"


def canonicalize(underscore: str = " ") -> normalizers.Sequence:
    """big_vision's `canonicalize_text`: no punctuation, lower case, single spaces; `underscore` replaces "_"."""
    return normalizers.Sequence(
        [
            normalizers.Replace("_", underscore),
            normalizers.Replace(Regex(PUNCTUATION), ""),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(WHITE_SPACE), " "),
            normalizers.Strip(),
        ]
    )


def read_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer.json, a SentencePiece unigram model, or the folder that holds one of them."""
    if path.is_dir():
        found = [path / name for name in FOLDER_FILES if (path / name).is_file()]
        if not found:
            raise UserError(f"{path}: no tokenizer in this folder; it takes {', '.join(FOLDER_FILES)}")
        path = found[0]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: the tokenizer cannot be read ({error.strerror})") from error
    try:
        if path.suffix in SENTENCEPIECE_SUFFIXES:
            return from_sentencepiece(path, content)
        return Tokenizer.from_buffer(content)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path}: not a tokenizer ({one_line(error)}); give a tokenizer.json") from error


def from_sentencepiece(path: Path, content: bytes) -> Tokenizer:
    """The same unigram model (Kudo 2018, arXiv 1804.10959) with its normalisation, an end token behind each text."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(content)
    if model.trainer_spec.model_type != UNIGRAM:
        raise UserError(f"{path}: a SentencePiece model that is no unigram one; give the model's tokenizer.json")
    tokenizer = Tokenizer(
        Unigram(
            [(piece.piece, piece.score) for piece in model.pieces],
            model.trainer_spec.unk_id,
            model.trainer_spec.byte_fallback,
        )
    )
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    charsmap = model.normalizer_spec.precompiled_charsmap
    tokenizer.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), spaces] if charsmap else [spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.add_special_tokens([piece.piece for piece in model.pieces if piece.type == CONTROL])
    end = model.pieces[model.trainer_spec.eos_id].piece if model.trainer_spec.eos_id >= 0 else None
    if end is None:
        raise UserError(f"{path}: a SentencePiece model without an end token; give the model's tokenizer.json")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, model.trainer_spec.eos_id)]
    )
    return tokenizer


def with_canonicalize(tokenizer: Tokenizer, underscore: str = " ") -> Tokenizer:
    """The tokenizer with `canonicalize` before its own normaliser, in place."""
    steps = [canonicalize(underscore)]
    if tokenizer.normalizer is not None:
        steps.append(tokenizer.normalizer)
    tokenizer.normalizer = normalizers.Sequence(steps)
    return tokenizer


def with_length(tokenizer: Tokenizer, context_length: int, pad_token: str) -> bytes:
    """tokenizer.json that cuts and pads every text to `context_length`, if it is of a kind that the runtime follows."""
    kind = json.loads(tokenizer.to_str())["model"]["type"]
    if kind != "Unigram" and not is_clip_bpe(tokenizer.to_str().encode()):
        raise UserError(f"a tokenizer of kind {kind}: the runtime follows CLIP's byte pair encoding and unigram models")
    pad_id = tokenizer.token_to_id(pad_token)
    if pad_id is None:
        raise UserError(f"the tokenizer has no token {pad_token!r} to pad with; give the model's own tokenizer.json")
    tokenizer.enable_truncation(context_length)
    tokenizer.enable_padding(length=context_length, pad_id=pad_id, pad_token=pad_token)
    document = json.loads(tokenizer.to_str())
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def same_vocabulary(one: bytes, other: bytes, specials: int = 2) -> bool:
    """Whether two byte pair encodings have the same merges and ids; the last `specials` may be named differently."""
    first, second = (json.loads(document)["model"] for document in (one, other))
    if first.get("type") != "BPE" or len(first["vocab"]) != len(second["vocab"]):
        return False

    def merges(model: dict) -> list[str]:
        return [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]

    count = len(first["vocab"]) - specials
    ordered = [{index: token for token, index in model["vocab"].items() if index < count} for model in (first, second)]
    return ordered[0] == ordered[1] and merges(first) == merges(second)
