"""pocket's label bank: its labels, the classes that it was trained to tell from them, and mined names if they pay.

Mining follows NegLabel (Jiang et al. 2024, arXiv 2403.20078, section 3.1): of a vocabulary, the names farthest from the
labels. How many are taken is decided on development images alone: held-out images of the labels against images of
classes that were never trained on, whose names are therefore left out of the vocabulary.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .bank import Bank, Label
from .calibrate import areas_under_roc
from .data import Splits, read_imagenet_names, read_named_text_embeddings, read_text_embeddings
from .names import group_key
from .scores import OOD_SCORES

COUNTS = (0, 250, 500, 1000, 2000)
# As in the runtime's negatives.rs.
NEARNESS_QUANTILE = 0.95
# Names this near say nearly the same: "wine bottle" and "beer bottle" have 0.948.
SAYS_THE_SAME = 0.9


@dataclass(frozen=True)
class Words:
    """Names with their unit text embeddings, f32 [N, 512]."""

    names: list[str]
    embeddings: np.ndarray


@dataclass(frozen=True)
class Development:
    """Image embeddings that choose: of the labels, and of classes never trained on; f32 [N, 512]."""

    labelled: np.ndarray
    never_trained: np.ndarray


@dataclass(frozen=True)
class Choice:
    """The bank, how many of its negatives were mined, and each count's AUROC by score, [0, 1]."""

    bank: Bank
    mined: int
    areas: dict[int, dict[str, float]]

    def record(self) -> dict[str, dict[str, float]]:
        """The areas as JSON's keys allow."""
        return {str(count): found for count, found in self.areas.items()}


def choose(data: Path, splits: Splits, development: Development, logit_scale: float) -> Choice:
    """The number of mined negatives whose best score tells the development images best; the smallest of equals."""
    own = trained_classes(data, splits)
    mined = farthest(own.text_embeds, vocabulary(data, splits, own))
    areas, banks = {}, {}
    for count in COUNTS:
        banks[count] = with_negatives(own, mined, count)
        inside, outside = (banks[count].cosines(group) for group in (development.labelled, development.never_trained))
        areas[count] = areas_under_roc(inside, outside, logit_scale, OOD_SCORES)
    best = max(COUNTS, key=lambda count: max(areas[count].values()))
    return Choice(banks[best], best, areas)


def trained_classes(data: Path, splits: Splits) -> Bank:
    """The default labels, and as negatives the other classes that the image tower was trained to tell from them."""
    others = [wnid for wnid in splits.trained_wnids if wnid not in set(splits.label_wnids)]
    return Bank(
        labels(splits.label_names, splits.label_wnids),
        read_text_embeddings(data, splits.label_wnids),
        labels(read_imagenet_names(data, others), others),
        read_text_embeddings(data, others),
    )


def labels(names: list[str], wnids: list[str]) -> list[Label]:
    return [Label(name, wnid, [f"a {name}"]) for name, wnid in zip(names, wnids, strict=True)]


def vocabulary(data: Path, splits: Splits, own: Bank) -> Words:
    """CLIP's named text embeddings without those that say what a label, a trained or a never-trained class says."""
    names, embeddings = read_named_text_embeddings(data)
    taken_names = [label.name for label in (*own.labels, *own.negatives)]
    taken_names += read_imagenet_names(data, splits.never_trained_wnids)
    taken = np.concatenate(
        [own.text_embeds, own.negative_embeds, read_text_embeddings(data, splits.never_trained_wnids)]
    )
    return distinct(Words(names, embeddings), {group_key(name) for name in taken_names}, taken)


def distinct(words: Words, taken_keys: set[str], taken: np.ndarray) -> Words:
    """Words whose `names.group_key` was not seen before and whose embedding is near none of those that are taken."""
    unit = words.embeddings / np.linalg.norm(words.embeddings, axis=1, keepdims=True)
    near = (unit @ taken.T).max(1) >= SAYS_THE_SAME
    seen, kept = set(taken_keys), []
    for row, name in enumerate(words.names):
        key = group_key(name)
        if key not in seen and not near[row]:
            kept.append(row)
        seen.add(key)
    return Words([words.names[row] for row in kept], np.ascontiguousarray(unit[kept]))


def farthest(text_embeds: np.ndarray, words: Words) -> Words:
    """The words by how far they are from the labels, the farthest first."""
    nearness = np.quantile(words.embeddings @ text_embeds.T, NEARNESS_QUANTILE, axis=1)
    order = np.argsort(nearness, kind="stable")
    return Words([words.names[row] for row in order], words.embeddings[order])


def with_negatives(bank: Bank, words: Words, count: int) -> Bank:
    """The bank with the first `count` of the words as further negatives."""
    return Bank(
        bank.labels,
        bank.text_embeds,
        [*bank.negatives, *(Label(name, "", [f"a {name}"]) for name in words.names[:count])],
        np.concatenate([bank.negative_embeds, words.embeddings[:count]]),
    )
