"""Whether a text tower knows every id that its tokenizer can give it."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from .errors import UserError
from .graph import FATAL_ONLY, one_thread
from .onnx_files import one_line


def check_vocabulary(tower: Path, tokenizer_json: bytes) -> None:
    """Runs the tower once on the tokenizer's highest id; raises UserError where it has no embedding for it."""
    highest = max(Tokenizer.from_str(tokenizer_json.decode()).get_vocab(with_added_tokens=True).values())
    session = ort.InferenceSession(tower, one_thread(FATAL_ONLY), providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]

    def failure(token: int) -> Exception | None:
        try:
            session.run(None, {entry.name: np.full(entry.shape, token, np.int64)})
        except Exception as error:
            return error
        return None

    failed = failure(highest)
    if failed is None:
        return
    if failure(0) is not None:
        raise UserError(f"the text tower cannot be run ({one_line(failed)}); export it again")
    # The rows are those that a lookup of one id finds: halving finds their number whatever the graph looks like.
    known, unknown = 0, highest
    while unknown - known > 1:
        middle = (known + unknown) // 2
        known, unknown = (middle, unknown) if failure(middle) is None else (known, middle)
    raise UserError(
        f"the tokenizer has ids up to {highest}, but the text tower only embeds those up to {known}: they are not of "
        "one model; give its own --tokenizer"
    )
