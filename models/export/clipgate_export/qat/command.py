"""`clipgate-export qat`: trains an fp32 image tower, and its text tower if asked, to a static int8 graph."""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..bank import Bank
from ..errors import UserError
from ..images import ImageFolder
from ..judging import Readout
from ..preprocess import decode, to_square
from ..quantization.command import add_preprocessing_arguments, preprocessing_of
from ..spec import Preprocessing
from ..subject import USUAL_LOGIT_SCALE, Subject, TextEncoder, read_bank
from ..text_tokenizer import TextTokenizer
from .plan import BITS, DEVICES, METHODS, SEED, Examples, Options, Plan, Texts
from .training import train

CLIP_TEMPLATE = "a photo of a {}."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    usual = Options()
    parser.add_argument("fp32", type=Path, help="an image tower: one input [1, 3, S, S], one output [1, D]")
    parser.add_argument("--images", type=Path, required=True, help="training photos, one folder a label")
    parser.add_argument("--labels", type=Path, help="a label bank that has the folders' names (clipgate labels build)")
    parser.add_argument("--text", type=Path, help="the fp32 text tower, which embeds the folders' names without a bank")
    parser.add_argument("--tokenizer", type=Path, help="the text tower's tokenizer.json")
    parser.add_argument("--prompt-template", default=CLIP_TEMPLATE, help="default: %(default)s")
    parser.add_argument("--train-text", action="store_true", help="train and quantise the text tower as well")
    parser.add_argument("--method", required=True, help=f"one of {', '.join(METHODS)}")
    parser.add_argument("--bits", type=int, choices=BITS, default=8, help="of the weights; 32: nothing is rounded")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of graph, checkpoint, log and report")
    parser.add_argument("--steps", type=int, default=usual.steps, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=usual.batch, help="images a step, default: %(default)s")
    parser.add_argument("--rate", type=float, default=usual.rate, help="learning rate, default: %(default)s")
    parser.add_argument(
        "--logit-scale", type=float, default=USUAL_LOGIT_SCALE, help="the model's, default: %(default)s"
    )
    parser.add_argument("--label-smoothing", type=float, default=usual.label_smoothing)
    parser.add_argument("--feature-weight", type=float, help="of the distance to fp32's embedding: the method's own")
    parser.add_argument("--per-channel", action="store_true", help="a scale for each output channel of a weight")
    parser.add_argument("--range-images", type=int, default=usual.range_images, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--device", choices=DEVICES, help="default: a GPU if there is one")
    add_preprocessing_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    options = Options(
        steps=arguments.steps,
        batch=arguments.batch,
        rate=arguments.rate,
        logit_scale=arguments.logit_scale,
        label_smoothing=arguments.label_smoothing,
        feature_weight=arguments.feature_weight,
        per_channel=arguments.per_channel,
        range_images=arguments.range_images,
        seed=arguments.seed,
        device=arguments.device,
    )
    if arguments.method not in METHODS:
        raise UserError(f"--method {arguments.method}: one of {', '.join(METHODS)}")
    preprocessing = preprocessing_of(arguments)
    encoder = _text_encoder(arguments)
    folder = ImageFolder.read(arguments.images, use="training")
    if warning := folder.warning():
        print(warning, file=sys.stderr)
    if not folder.labels:
        raise UserError(f"{arguments.images}: training needs one folder of photos a label, two at least")
    bank = None if arguments.labels is None else read_bank(arguments.labels)
    subject = Subject(arguments.fp32, arguments.fp32, preprocessing, Readout(options.logit_scale), 1.0, bank, encoder)
    bank, rows = subject.bank_for(folder.labels)
    row_of = dict(zip(folder.labels, rows, strict=True))
    examples = folder_examples(folder, preprocessing, row_of)
    plan = Plan(arguments.fp32, arguments.method, arguments.bits, examples, _texts(arguments, bank), options)
    try:
        report = train(plan, arguments.output)
    except KeyboardInterrupt as error:
        error.add_note(f"run it again to go on from the last checkpoint in {arguments.output}")
        raise
    for made in report.graphs.values():
        print(
            f"{arguments.output / made.file}: {plan.words}, cosine to fp32 {made.to_fp32:.4f}, to the trained tower "
            f"{made.to_trained:.6f}; {made.bytes:,} bytes, {made.packed_bytes:,} with weights packed"
        )
    return 0


def folder_examples(folder: ImageFolder, preprocessing: Preprocessing, row_of: dict[str, int]) -> Examples:
    """The photos of label folders, read anew for every batch; `row_of` says which text each folder means."""

    def pixels(rows: Sequence[int]) -> Tensor:
        images = [to_square(decode(folder.files[row].path.read_bytes()), preprocessing) for row in rows]
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)

    classes = torch.tensor([row_of[str(file.label)] for file in folder.files])
    digest = hashlib.sha256(f"{folder.digest()} {preprocessing}".encode()).hexdigest()
    return Examples(classes, pixels, preprocessing.mean, preprocessing.std, digest)


def _text_encoder(arguments: argparse.Namespace) -> TextEncoder | None:
    if (arguments.text is None) != (arguments.tokenizer is None):
        raise UserError("--text and --tokenizer: a text tower needs both")
    if arguments.train_text and arguments.text is None:
        raise UserError("--train-text: give the fp32 text tower with --text and --tokenizer")
    if arguments.text is None:
        if arguments.labels is None:
            raise UserError("the labels' texts are missing: give --labels BANK, or --text and --tokenizer")
        return None
    for path in (arguments.text, arguments.tokenizer):
        if not path.is_file():
            raise UserError(f"{path}: no such file")
    return TextEncoder(arguments.text, arguments.tokenizer, arguments.prompt_template)


def _texts(arguments: argparse.Namespace, bank: Bank) -> Texts:
    """Labels and negatives; where the text tower is trained, by the one prompt template."""
    embeds = np.concatenate([bank.text_embeds, bank.negative_embeds]).astype(np.float32)
    if not arguments.train_text:
        return Texts(embeds)
    names = [label.name.replace("_", " ") for label in (*bank.labels, *bank.negatives)]
    prompts = [arguments.prompt_template.replace("{}", name) for name in names]
    encoder = TextEncoder(arguments.text, arguments.tokenizer, arguments.prompt_template)
    ids = TextTokenizer(arguments.tokenizer.read_bytes())(prompts)
    return Texts(encoder.embed(names), arguments.text, ids)
