r"""Trains a small tokenizer of SigLIP's kind and writes what open_clip's `HFTokenizer` makes of many strings with it.

    python -m clipgate_export.goldens_unigram --labels ../pocket/text_split.json -o ../../tests/data/unigram

`tokenizer.json` stands in for the one of SigLIP's models, which lies on a hub: a SentencePiece unigram model
(Kudo 2018, arXiv 1804.10959) with a compiled character map, T5's special ids and the layout that `transformers`
gives T5's tokenizer. `ids.json` holds the strings of `goldens_tokenizer` (mojibake is left to CLIP's goldens) and
the reference's ids.
"""

import argparse
import base64
import importlib.metadata
import json
import random
import tempfile
import unicodedata
from pathlib import Path

import open_clip.tokenizer
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from .files import write_bytes
from .goldens_tokenizer import HTML, PHRASES, SEED, assembled

PIECES = 900
CONTEXTS = (64, 12)
CLEANINGS = ("canonicalize", "whitespace")
# T5's, and so SigLIP's: a text ends with `</s>`, which also fills the context.
PAD, END, UNKNOWN = ("<pad>", 0), ("</s>", 1), ("<unk>", 2)
SPACE = "\u2581"

# Compatibility forms that the character map replaces as NFKC does.
COMPATIBILITY = (
    *range(0xA0, 0x250),
    *range(0x2000, 0x2190),
    *range(0x2460, 0x2500),
    *range(0x3000, 0x3040),
    *range(0xFB00, 0xFB50),
    *range(0xFF00, 0xFFF0),
)
# As in SentencePiece's `nmt_nfkc`: what separates becomes a space, what controls goes.
SPACES = ("\t", "\n", "\r", "\x0c", "\u200b", "\u200c", "\u2028", "\u2029", "\ufeff", "\ufffd")
REMOVED = tuple(map(chr, [*range(1, 9), 0x0B, *range(0x0E, 0x20), 0x7F, 0x8F, 0x9F]))
ACCENTS = "\u0300\u0301\u0302\u0303\u0308\u030a\u0327"


def character_map() -> dict[str, str]:
    """What each character, or letter and accent, is replaced by."""
    rules = {}
    for character in map(chr, COMPATIBILITY):
        normal = unicodedata.normalize("NFKC", character)
        if normal != character:
            rules[character] = normal
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz":
        for accent in ACCENTS:
            composed = unicodedata.normalize("NFKC", letter + accent)
            if len(composed) == 1:
                rules[letter + accent] = composed
    rules.update(dict.fromkeys(SPACES, " "))
    rules.update(dict.fromkeys(REMOVED, ""))
    return rules


def corpus(names: list[str]) -> list[str]:
    """Prompts of names and the phrases of the other goldens, as they are and cleaned."""
    sentences = [f"a photo of a {name}." for name in names] + names + PHRASES
    sentences += [open_clip.tokenizer.canonicalize_text(sentence) for sentence in sentences]
    return [sentence.replace("\n", " ").replace("\r", " ").replace("\x00", " ") for sentence in sentences]


def train(names: list[str]) -> sentencepiece_model_pb2.ModelProto:
    """The unigram model; the same names give the same model."""
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.tsv"
        rows = (
            (" ".join(f"{ord(c):X}" for c in source), " ".join(f"{ord(c):X}" for c in target))
            for source, target in character_map().items()
        )
        rules.write_text("".join(f"{source}\t{target}\n" for source, target in rows))
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus(names)),
            model_prefix=f"{folder}/unigram",
            model_type="unigram",
            vocab_size=PIECES,
            character_coverage=1.0,
            normalization_rule_tsv=str(rules),
            pad_id=PAD[1],
            eos_id=END[1],
            unk_id=UNKNOWN[1],
            bos_id=-1,
            num_threads=1,
            minloglevel=2,
        )
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString(Path(f"{folder}/unigram.model").read_bytes())
    return model


def tokenizer_json(model: sentencepiece_model_pb2.ModelProto, context_length: int) -> bytes:
    """The layout that `transformers` converts T5's SentencePiece model to, with truncation and padding set."""
    document = {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": context_length, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": {"Fixed": context_length},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": END[1],
            "pad_type_id": 0,
            "pad_token": END[0],
        },
        "added_tokens": [_special(token, index) for token, index in (PAD, END, UNKNOWN)],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {
                    "type": "Precompiled",
                    "precompiled_charsmap": base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode(),
                },
                {"type": "Strip", "strip_left": False, "strip_right": True},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": SPACE},
            ],
        },
        "pre_tokenizer": {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": END[0], "type_id": 0}}],
            "pair": [
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": END[0], "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 0}},
                {"SpecialToken": {"id": END[0], "type_id": 0}},
            ],
            "special_tokens": {END[0]: {"id": END[0], "ids": [END[1]], "tokens": [END[0]]}},
        },
        "decoder": {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True},
        "model": {
            "type": "Unigram",
            "unk_id": UNKNOWN[1],
            "vocab": [[piece.piece, piece.score] for piece in model.pieces],
            "byte_fallback": False,
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _special(token: str, index: int) -> dict[str, object]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": index, "content": token, **flags, "special": True}


def reference(folder: Path, cleaning: str) -> open_clip.tokenizer.HFTokenizer:
    """open_clip's own tokenizer on `folder/tokenizer.json`, read as the file says."""
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": END[0],
        "eos_token": END[0],
        "unk_token": UNKNOWN[0],
    }
    with tempfile.TemporaryDirectory() as copy:
        (Path(copy) / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
        (Path(copy) / "tokenizer_config.json").write_text(json.dumps(settings))
        return open_clip.tokenizer.HFTokenizer(copy, context_length=CONTEXTS[0], clean=cleaning)


def cases(folder: Path) -> list[dict[str, object]]:
    """Every case once, in an order that the seed alone decides; ids end with the end token, padding left out."""
    listed = [("phrase", text) for text in PHRASES] + [("html", text) for text in HTML]
    listed += assembled(random.Random(SEED))
    tokenizers = {cleaning: reference(folder, cleaning) for cleaning in CLEANINGS}
    numbered: dict[str, int] = {}
    found = []
    for kind, text in dict.fromkeys(listed):
        number = numbered[kind] = numbered.get(kind, -1) + 1
        ways = [(cleaning, CONTEXTS[0]) for cleaning in CLEANINGS]
        ways += [(CLEANINGS[0], CONTEXTS[1])] if kind in ("phrase", "very long") else []
        for cleaning, context in ways:
            row = tokenizers[cleaning]([text], context_length=context)[0].tolist()
            ids = row[: row.index(END[1]) + 1]
            name = f"{kind} {number}"
            found.append({"name": name, "text": text, "clean": cleaning, "context_length": context, "ids": ids})
            if row != ids + [END[1]] * (context - len(ids)):
                raise ValueError(f"{name}: an end token inside the text")
    return found


def write(folder: Path, names: list[str]) -> None:
    """Both files."""
    write_bytes(folder / "tokenizer.json", tokenizer_json(train(names), CONTEXTS[0]))
    packages = ("open_clip_torch", "transformers", "tokenizers", "sentencepiece", "ftfy")
    document = {
        "reference": {name: importlib.metadata.version(name) for name in packages},
        "cases": cases(folder),
    }
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":")).replace("},{", "},\n{")
    write_bytes(folder / "ids.json", text.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, help="JSON file whose `held_out` lists names")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write into")
    arguments = parser.parse_args()
    write(arguments.output, json.loads(arguments.labels.read_text())["held_out"])


if __name__ == "__main__":
    main()
