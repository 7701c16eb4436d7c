"""A user's labels and templates: read from files, embedded by the fp32 text tower into a bank."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .bank import Bank, Label
from .errors import UserError
from .graph import Graph, unit
from .spec import Model
from .text_tokenizer import TextTokenizer

LIST_SUFFIXES = (".txt", ".csv", ".tsv")
WORDNET_ID = re.compile(r"n\d{8}")


def read_labels(given: str | None, folders: Sequence[str]) -> list[Label]:
    """The labels in the bank's order, `wnid` holding the image folder of each where that is not its name.

    `given` is a file with a label a line, or labels with commas between. A line of a file may be FOLDER, a tab and
    NAME. Without it the image folders are the labels, "_" read as a space.
    """
    if given is None:
        return [Label(folder.replace("_", " "), folder, []) for folder in folders]
    path = Path(given)
    if is_file(path):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: the labels cannot be read as UTF-8 text ({error})") from error
    elif "," not in given and (path.suffix in LIST_SUFFIXES or len(path.parts) > 1):
        raise UserError(f"{path}: no such file of labels; name one, or write the labels with commas between")
    else:
        lines = given.split(",")
    rows = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    labels = []
    for row in rows:
        folder, _, name = row.rpartition("\t")
        labels.append(Label(name.strip(), folder.strip() or match_folder(name.strip(), folders), []))
    names = [label.name for label in labels]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not labels or twice:
        raise UserError(f"{given}: {f'label {twice[0]!r} stands there twice' if twice else 'no labels'}")
    unknown = sorted(set(folders) - {label.wnid for label in labels})
    if folders and unknown:
        raise UserError(
            f"{given}: no label for the image folder {unknown[0]!r} ({len(unknown)} without one); name it, or write "
            "FOLDER, a tab and NAME on its line"
        )
    return labels


def wordnet_ids(names: Sequence[str]) -> list[str]:
    """Those names that are WordNet's numbers of nouns, as ImageNet calls its folders: no model knows them as words."""
    return [name for name in names if WORDNET_ID.fullmatch(name)]


def is_file(path: Path) -> bool:
    """Also of a list of labels that is too long to be any file's name."""
    try:
        return path.is_file()
    except OSError:
        return False


def match_folder(name: str, folders: Sequence[str]) -> str:
    """The image folder that a label means: of its name, spaces or underscores alike; "" if there is none."""
    return next((folder for folder in folders if folder.replace("_", " ") == name.replace("_", " ")), "")


def read_templates(path: Path | None, first: str) -> list[str]:
    """A template a line, each with one {}; `first`, the manifest's own, without a file."""
    if path is None:
        return [first]
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: the templates cannot be read as UTF-8 text ({error})") from error
    wrong = [line for line in lines if line.count("{}") != 1]
    if wrong or not lines:
        raise UserError(f"{path}: {f'{wrong[0]!r} does not hold {{}} once' if wrong else 'no templates'}")
    return lines


def build_bank(model: Model, labels: Sequence[Label], templates: Sequence[str]) -> Bank:
    """Each label's embedding is the mean of its prompts' unit embeddings, made unit again (arXiv 2103.00020, 3.1.4)."""
    if model.text is None or model.text_spec is None:
        raise UserError("labels need a text tower; give --onnx-text FILE, or leave --labels out")
    tokenizer = TextTokenizer(model.text_spec.tokenizer_json)
    tower = Graph(model.text)
    filled, rows = [], []
    for label in labels:
        prompts = [template.replace("{}", label.name) for template in templates]
        rows.append(unit(tower(tokenizer(prompts)).mean(0)))
        named_alike = label.wnid.replace("_", " ") == label.name
        filled.append(Label(label.name, "" if named_alike else label.wnid, prompts))
    embeds = np.stack(rows).astype(np.float32)
    alike = np.argwhere(np.triu(embeds @ embeds.T > 1 - 1e-6, 1))
    if len(alike):
        one, other = (filled[row].name for row in alike[0])
        raise UserError(f"the labels {one!r} and {other!r} have the same embedding and cannot be told apart; drop one")
    return Bank(filled, embeds, [], np.empty((0, embeds.shape[1]), np.float32))
