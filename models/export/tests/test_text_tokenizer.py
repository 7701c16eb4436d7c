"""Tokenizer files: SigLIP's canonicalisation and pieces, CLIP's encoding, lengths and padding."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import sentencepiece
from open_clip.tokenizer import canonicalize_text, default_bpe
from tiny_models import write_unigram
from tokenizers import Tokenizer, models, pre_tokenizers

from clipgate_export.errors import UserError
from clipgate_export.parity import TEXTS
from clipgate_export.text_tokenizer import (
    TextTokenizer,
    canonicalize,
    read_tokenizer,
    same_vocabulary,
    with_canonicalize,
    with_length,
)
from clipgate_export.tokenizer import tokenizer_json


@pytest.fixture(scope="module")
def unigram(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_unigram(tmp_path_factory.mktemp("unigram"))


@pytest.mark.parametrize("text", [*TEXTS, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "\u00c4\u00d6 \u0130 \x1c\u2003x"])
def test_canonicalize_is_open_clips(text: str) -> None:
    assert canonicalize().normalize_str(text) == canonicalize_text(text)


def test_unigram_pieces_are_sentencepieces(unigram: Path) -> None:
    ids = TextTokenizer(with_length(with_canonicalize(read_tokenizer(unigram)), 16, "</s>"))(TEXTS)
    oracle = sentencepiece.SentencePieceProcessor(model_file=str(unigram))
    for row, text in zip(ids, TEXTS, strict=True):
        wanted = oracle.encode(canonicalize_text(open_clip.tokenizer.basic_clean(text)))[:15] + [1]
        assert row.tolist() == wanted + [1] * (16 - len(wanted)), text


def test_clips_ids_are_open_clips() -> None:
    ids = TextTokenizer(tokenizer_json(Path(default_bpe()), 32))(TEXTS)
    assert np.array_equal(ids, open_clip.SimpleTokenizer(context_length=32)(list(TEXTS)).numpy())


def test_a_vocabulary_is_recognised_whatever_its_specials_are_called() -> None:
    clips = tokenizer_json(Path(default_bpe()))
    renamed = clips.replace(b"<start_of_text>", b"<|startoftext|>").replace(b"<end_of_text>", b"<|endoftext|>")
    assert same_vocabulary(renamed, clips)
    assert not same_vocabulary(clips.replace(b'"t h"', b'"h t"', 1), clips)


def test_what_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "spiece.model").write_bytes(b"\xffnoise")
    (tmp_path / "empty").mkdir()
    for path in ("tokenizer.json", "spiece.model", "empty", "nowhere.json"):
        with pytest.raises(UserError, match=path):
            read_tokenizer(tmp_path / path)
    words = Tokenizer(models.WordLevel({"a": 0, "</s>": 1}, unk_token="a"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(UserError, match="kind WordLevel"):
        with_length(words, 8, "</s>")
