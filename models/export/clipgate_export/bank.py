"""Label banks: text embeddings with their names, and the digest that a calibration is bound to."""

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import save

DIGEST_HEADER = b"clipgate-bank-1\n"


@dataclass(frozen=True)
class Label:
    """A name as the decision says it, its ImageNet class and the prompts its embedding was made of."""

    name: str
    wnid: str
    prompts: list[str]


def bank_digest(
    names: Sequence[str],
    text_embeds: np.ndarray,
    negatives: Sequence[str] = (),
    negative_embeds: np.ndarray | None = None,
) -> str:
    """sha256, in hex, over names and f32 bytes in row order; all integers u64 and all floats little-endian.

    The header, the number of labels, each name as its byte length and UTF-8, the [K, D] embeddings, then
    the same of the negatives: their number (possibly zero), names and embeddings.
    """
    digest = hashlib.sha256(DIGEST_HEADER)
    for group, embeddings in ((names, text_embeds), (negatives, negative_embeds)):
        rows = 0 if embeddings is None else len(embeddings)
        if rows != len(group):
            raise ValueError(f"{len(group)} names for {rows} embeddings")
        digest.update(struct.pack("<Q", len(group)))
        for name in group:
            encoded = name.encode()
            digest.update(struct.pack("<Q", len(encoded)) + encoded)
        if embeddings is not None:
            digest.update(np.ascontiguousarray(embeddings, "<f4").tobytes())
    return digest.hexdigest()


def bank_file(labels: Sequence[Label], text_embeds: np.ndarray) -> bytes:
    """labels.safetensors: `text_embeds` [K, D] and the labels as JSON in the metadata."""
    listed = [{"name": label.name, "wnid": label.wnid, "prompts": label.prompts} for label in labels]
    tensors = {"text_embeds": np.ascontiguousarray(text_embeds, np.float32)}
    return save(tensors, {"labels": json.dumps(listed, ensure_ascii=False)})
