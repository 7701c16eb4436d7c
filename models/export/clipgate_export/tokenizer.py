"""Writes CLIP's byte pair encoding, as open_clip's package carries it, in Hugging Face's tokenizer.json.

The file holds what comes after open_clip's text cleaning (ftfy, html.unescape, whitespace): lower case,
the split, the byte-level alphabet, the merges, the two special tokens, truncation and padding with 0.
"""

import argparse
import gzip
import json
from pathlib import Path

from open_clip.tokenizer import bytes_to_unicode, default_bpe

from .files import write_bytes

CONTEXT_LENGTH = 77
VOCABULARY = 49408
START, END = "<start_of_text>", "<end_of_text>"
# open_clip's pattern; its IGNORECASE is the leading flag. The specials come first, as they do there.
SPLIT = rf"(?i){START}|{END}|'s|'t|'re|'ve|'m|'ll|'d|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+"


def read_merges(bpe: Path) -> list[str]:
    """The merges CLIP uses, best first, each two symbols and a space; the file's first line is a header."""
    lines = gzip.decompress(bpe.read_bytes()).decode().split("\n")
    return lines[1 : VOCABULARY - 2 * 256 - 2 + 1]


def vocabulary(merges: list[str]) -> dict[str, int]:
    """Every token's id: the byte alphabet, the same closing a word, the merges' results, the specials."""
    alphabet = list(bytes_to_unicode().values())
    tokens = alphabet + [letter + "</w>" for letter in alphabet]
    tokens += ["".join(merge.split()) for merge in merges] + [START, END]
    ids = {token: index for index, token in enumerate(tokens)}
    if len(ids) != len(tokens) or len(ids) != VOCABULARY:
        raise ValueError(f"the vocabulary has {len(ids)} of {VOCABULARY} tokens, or a token twice")
    return ids


def tokenizer_json(bpe: Path, context_length: int = CONTEXT_LENGTH) -> bytes:
    """The whole tokenizer.json, without a space that says nothing."""
    merges = read_merges(bpe)
    ids = vocabulary(merges)
    document = {
        "version": "1.0",
        "truncation": {
            "direction": "Right",
            "max_length": context_length,
            "strategy": "LongestFirst",
            "stride": 0,
        },
        "padding": {
            "strategy": {"Fixed": context_length},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "!",
        },
        "added_tokens": [_special(token, ids[token]) for token in (START, END)],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Removed", "invert": True},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
            ],
        },
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [END, ids[END]],
            "cls": [START, ids[START]],
            "trim_offsets": False,
            "add_prefix_space": False,
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": ids,
            "merges": merges,
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _special(token: str, index: int) -> dict[str, object]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": index, "content": token, **flags, "special": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="tokenizer.json to write")
    parser.add_argument("--bpe", type=Path, default=Path(default_bpe()), help="bpe_simple_vocab_16e6.txt.gz")
    parser.add_argument("--context-length", type=int, default=CONTEXT_LENGTH)
    arguments = parser.parse_args()
    write_bytes(arguments.output, tokenizer_json(arguments.bpe, arguments.context_length))


if __name__ == "__main__":
    main()
