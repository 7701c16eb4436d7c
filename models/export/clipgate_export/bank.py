"""Label banks: text embeddings with their names, and the digest that a calibration is bound to."""

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from safetensors.numpy import load, save

from .scores import Cosines

DIGEST_HEADER = b"clipgate-bank-1\n"


@dataclass(frozen=True)
class Label:
    """A name as the decision says it, its ImageNet class ("" if it has none), the prompts its embedding is made of."""

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


@dataclass(frozen=True)
class Bank:
    """Labels and negatives with their unit embeddings, f32 [K, D] and [M, D] (M may be 0)."""

    labels: list[Label]
    text_embeds: np.ndarray
    negatives: list[Label]
    negative_embeds: np.ndarray

    @classmethod
    def read(cls, content: bytes) -> "Bank":
        """From the bytes of labels.safetensors."""
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        tensors = load(content)
        text = tensors["text_embeds"]
        return cls(
            cls._labels(metadata["labels"]),
            text,
            cls._labels(metadata.get("negatives", "[]")),
            tensors.get("negative_embeds", np.empty((0, text.shape[1]), np.float32)),
        )

    def cosines(self, embeddings: np.ndarray) -> Cosines:
        """Of unit embeddings f32 [N, D]."""
        return Cosines(
            embeddings @ self.text_embeds.T,
            embeddings @ self.negative_embeds.T,
            self.text_embeds @ self.negative_embeds.T,
        )

    def digest(self) -> str:
        names, negatives = ([label.name for label in group] for group in (self.labels, self.negatives))
        return bank_digest(names, self.text_embeds, negatives, self.negative_embeds)

    def file(self) -> bytes:
        """labels.safetensors: the embeddings, and in the metadata the labels as JSON in row order."""
        tensors = {"text_embeds": np.ascontiguousarray(self.text_embeds, np.float32)}
        metadata = {"labels": self._listed(self.labels)}
        if self.negatives:
            tensors["negative_embeds"] = np.ascontiguousarray(self.negative_embeds, np.float32)
            metadata["negatives"] = self._listed(self.negatives)
        return with_sorted_header(save(tensors, metadata))

    @staticmethod
    def _labels(listed: str) -> list[Label]:
        """From the metadata's JSON; wnid and prompts may be absent."""
        return [
            Label(label["name"], label.get("wnid") or "", label.get("prompts") or []) for label in json.loads(listed)
        ]

    @staticmethod
    def _listed(labels: Sequence[Label]) -> str:
        known = [{key: value for key, value in asdict(label).items() if value} for label in labels]
        return json.dumps(known, ensure_ascii=False)


def with_sorted_header(content: bytes) -> bytes:
    """The same safetensors file, its header's keys in order: the library writes metadata in a random one."""
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + content[8 + length :]
