"""A pair of fp32 ONNX graphs that exist already; this path never imports torch."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, TensorProto, helper

from ..errors import UserError
from ..files import write_bytes
from ..graph import FATAL_ONLY, one_thread
from ..onnx_files import fixed_shape, one_line, read_untrusted
from ..onnx_model import IR_VERSION, OPSET, graph_bytes, strip_traces
from ..spec import Model, Preprocessing, TextSpec
from ..text_tokenizer import is_clip_bpe, read_tokenizer, with_length
from .settings import CLIP_TEMPLATE, SIGLIP_TEMPLATE, UNKNOWN_LICENCE, read_preprocessing

PAD_TOKENS = ("<pad>", "</s>", "<|endoftext|>", "!")


@dataclass(frozen=True)
class Pair:
    """Both graphs with their weights, the text's with what comes before it; the text tower may be missing."""

    image: ModelProto
    text: ModelProto | None
    text_spec: TextSpec | None
    preprocessing: Preprocessing


def find(arguments: argparse.Namespace) -> Callable[[Path], Model]:
    """Checks the pair; it is read again by the result, so that its weights do not wait in memory."""
    read_pair(arguments)
    return partial(load, arguments)


def read_pair(arguments: argparse.Namespace) -> Pair:
    if not arguments.preprocessing or arguments.logit_scale is None:
        raise UserError("--onnx-image needs --preprocessing JSON and --logit-scale X beside it: a graph tells neither")
    if not 0 < arguments.logit_scale < 1e4:
        raise UserError(f"--logit-scale {arguments.logit_scale}: the factor on cosines, above 0 (CLIP: 100)")
    if not arguments.onnx_text:
        for option, given in (("--tokenizer", arguments.tokenizer), ("--prompt-template", arguments.prompt_template)):
            if given is not None:
                raise UserError(f"{option} is for texts, but there is no text tower; give --onnx-text FILE too")
    elif not arguments.tokenizer:
        raise UserError("--onnx-text needs --tokenizer FILE beside it: a graph does not tell how texts become ids")
    preprocessing = read_preprocessing(arguments.preprocessing)
    size = preprocessing.size
    image = checked(arguments.onnx_image, "pixel_values", TensorProto.FLOAT, [1, 3, size, size], "image_embeds")
    if not arguments.onnx_text:
        return Pair(image, None, None, preprocessing)
    text = checked(arguments.onnx_text, "input_ids", TensorProto.INT64, [1, None], "text_embeds")
    if output_dim(text) != output_dim(image):
        raise UserError(
            f"{arguments.onnx_text}: its embeddings have {output_dim(text)} values, those of "
            f"{arguments.onnx_image} {output_dim(image)}; the two are not of one model"
        )
    spec = text_spec(arguments, text.graph.input[0].type.tensor_type.shape.dim[1].dim_value)
    return Pair(image, text, spec, preprocessing)


def load(arguments: argparse.Namespace, work: Path) -> Model:
    pair = read_pair(arguments)
    names = [path.name for path in (arguments.onnx_image, arguments.onnx_text) if path is not None]
    return Model(
        family="clip" if arguments.logit_bias is None else "siglip",
        architecture=arguments.onnx_image.stem,
        source=arguments.source or f"ONNX files {' and '.join(names)}",
        licence=arguments.licence or UNKNOWN_LICENCE,
        image=written(pair.image, work / "image_fp32.onnx", arguments.onnx_image),
        text=None if pair.text is None else written(pair.text, work / "text_fp32.onnx", arguments.onnx_text),
        preprocessing=pair.preprocessing,
        text_spec=pair.text_spec,
        embedding_dim=output_dim(pair.image),
        logit_scale=arguments.logit_scale,
        logit_bias=arguments.logit_bias,
        activation=activation_of(pair.image),
    )


def checked(path: Path, input_name: str, element: int, shape: list[int | None], output_name: str) -> ModelProto:
    """The graph with its one input and one output renamed, after every check."""
    model = read_untrusted(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    for what, values in (("inputs", inputs), ("outputs", model.graph.output)):
        if len(values) != 1:
            names = ", ".join(value.name for value in values) or "none"
            raise UserError(
                f"{path}: {len(values)} {what} ({names}); one is needed, from {input_name} to {output_name}"
            )
    given = fixed_shape(path, inputs[0])
    wanted = [size if size is not None else given[axis] for axis, size in enumerate(shape) if axis < len(given)]
    kind = inputs[0].type.tensor_type.elem_type
    if kind != element or len(given) != len(shape) or given != wanted:
        raise UserError(
            f"{path}: its input is {TensorProto.DataType.Name(kind)} {given}; {input_name} is "
            f"{TensorProto.DataType.Name(element)} {['T' if size is None else size for size in shape]}"
        )
    result = fixed_shape(path, model.graph.output[0])
    if len(result) != 2 or result[0] != 1 or model.graph.output[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        raise UserError(f"{path}: its output is of shape {result}; {output_name} is FLOAT [1, D]")
    refuse_quantised(path, model)
    rename(model, inputs[0].name, input_name)
    rename(model, model.graph.output[0].name, output_name)
    return model


def refuse_quantised(path: Path, model: ModelProto) -> None:
    found = {node.op_type for node in model.graph.node} & {"QuantizeLinear", "DequantizeLinear", "QLinearMatMul"}
    if found:
        raise UserError(f"{path}: quantised already ({', '.join(sorted(found))}); give the fp32 graph")


def rename(model: ModelProto, old: str, new: str) -> None:
    """Gives a value its name everywhere; another value that has it already makes room."""
    if old == new:
        return
    graph = model.graph
    if any(new in (*node.input, *node.output) for node in graph.node):
        rename(model, new, f"{new}.inner")
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        if value.name == old:
            value.name = new


def written(model: ModelProto, path: Path, source: Path) -> Path:
    """The graph at opset 20 or what it has above, its Gelu in one operator, after a first run of ONNX Runtime."""
    model = at_opset(model, source)
    model = fuse_gelu(model)
    strip_traces(model)
    model.ir_version = max(IR_VERSION, model.ir_version)
    write_bytes(path, graph_bytes(model))
    try:
        session = ort.InferenceSession(path, one_thread(FATAL_ONLY), providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0]
        zeros = np.zeros(entry.shape, np.int64 if "int64" in entry.type else np.float32)
        result = session.run(None, {entry.name: zeros})[0]
    except Exception as error:
        raise UserError(f"{source}: ONNX Runtime cannot run it ({one_line(error)})") from error
    if not np.isfinite(result).all():
        raise UserError(f"{source}: it gives a value that is not finite for an input of zeros")
    return path


def at_opset(model: ModelProto, source: Path) -> ModelProto:
    version = max(opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx"))
    if version >= OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, OPSET)
    except Exception as error:
        raise UserError(
            f"{source}: opset {version} cannot be converted to {OPSET} ({one_line(error, 120)}); export it again"
        ) from error


def fuse_gelu(model: ModelProto) -> ModelProto:
    """x/2 (1 + erf(x / sqrt 2)) (Hendrycks and Gimpel 2016, arXiv 1606.08415) in pieces becomes one Gelu."""
    if not any(node.op_type == "Erf" for node in model.graph.node):
        return model
    from onnxscript.rewriter import pattern, rewrite

    half, root = 0.5, 2**0.5
    shapes = (
        lambda op, x: x * (op.Erf(x / root) + 1.0) * half,
        lambda op, x: half * (x * (op.Erf(x / root) + 1.0)),
        lambda op, x: x * (half * (op.Erf(x / root) + 1.0)),
        lambda op, x: (x * half) * (op.Erf(x / root) + 1.0),
        lambda op, x: (x * half) * (op.Erf(x * (1 / root)) + 1.0),
    )
    rules = [pattern.RewriteRule(shape, lambda op, x: op.Gelu(x), name="gelu") for shape in shapes]
    return rewrite(model, pattern.RewriteRuleSet(rules, commute=True))


def output_dim(model: ModelProto) -> int:
    return model.graph.output[0].type.tensor_type.shape.dim[1].dim_value


def activation_of(model: ModelProto) -> str:
    """quick_gelu is x sigmoid(1.702 x): a Sigmoid whose product goes with its own input."""
    for node in model.graph.node:
        if node.op_type == "Gelu":
            tanh = any(helper.get_attribute_value(a) == b"tanh" for a in node.attribute if a.name == "approximate")
            return "gelu_tanh" if tanh else "gelu"
    operators = {node.op_type for node in model.graph.node}
    for operator, name in (("Erf", "gelu"), ("Sigmoid", "quick_gelu"), ("Relu", "relu")):
        if operator in operators:
            return name
    return "none"


def text_spec(arguments: argparse.Namespace, length: int) -> TextSpec:
    """The given tokenizer as it is, cut and padded to the graph's length."""
    tokenizer = read_tokenizer(arguments.tokenizer)
    template = arguments.prompt_template or (CLIP_TEMPLATE if arguments.logit_bias is None else SIGLIP_TEMPLATE)
    pad = (tokenizer.padding or {}).get("pad_token")
    if pad is None and is_clip_bpe(tokenizer.to_str().encode()):
        pad = "!"
    pad = pad or next((token for token in PAD_TOKENS if tokenizer.token_to_id(token) is not None), "<pad>")
    return TextSpec(length, template, with_length(tokenizer, length, pad))
