import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load

from clipgate_export.bank import Bank, Label, bank_digest

ROWS = np.array([[0.6, 0.8], [1.0, 0.0]], np.float32)


def test_the_digest_is_of_these_bytes() -> None:
    u64 = lambda n: n.to_bytes(8, "little")  # noqa: E731
    wanted = b"clipgate-bank-1\n" + u64(2) + u64(3) + b"cat" + u64(5) + "Zoë ".encode() + ROWS.tobytes() + u64(0)
    assert bank_digest(["cat", "Zoë "], ROWS) == hashlib.sha256(wanted).hexdigest()


def test_negatives_names_and_order_count() -> None:
    digests = {
        bank_digest(["a", "b"], ROWS),
        bank_digest(["b", "a"], ROWS),
        bank_digest(["ab", ""], ROWS),
        bank_digest(["a", "b"], ROWS[::-1]),
        bank_digest(["a"], ROWS[:1], ["b"], ROWS[1:]),
    }
    assert len(digests) == 5


def test_names_without_embeddings_are_refused() -> None:
    with pytest.raises(ValueError, match="2 names for 1"):
        bank_digest(["a", "b"], ROWS[:1])


def test_the_file_holds_labels_in_row_order_and_is_read_back() -> None:
    bank = Bank([Label("cat", "n1", ["a cat"])], ROWS[:1], [Label("wall", "n2", ["a wall"])], ROWS[1:])
    content = bank.file()
    assert np.array_equal(load(content)["text_embeds"], ROWS[:1])
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert list(header["__metadata__"]) == ["labels", "negatives"]
    again = Bank.read(content)
    assert (again.labels, again.negatives, again.digest()) == (bank.labels, bank.negatives, bank.digest())
    assert again.digest() == bank_digest(["cat"], ROWS[:1], ["wall"], ROWS[1:])
    cosines = again.cosines(ROWS)
    assert cosines.labels.shape == cosines.negatives.shape == (2, 1)
