"""Writes the graphs that the tests of session.rs load: one that is right and those it must refuse.

    python -m clipgate_export.goldens_session tests/data/session

Every weight is a small multiple of 1/64, so that the expected output is exact in f32 and the bytes are the same on
every machine. Those of the .ort files are ONNX Runtime's and depend on its version.
"""

import sys
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from .ort_format import optimise

OPSET = 17
IR_VERSION = 8
INPUT_SHAPE = [1, 3, 4, 4]
FEATURES = 48
DIM = 8


def weight(row: int, column: int) -> float:
    """What tests/session.rs computes as well."""
    return ((row * 7 + column * 5) % 13 - 6) / 64


def model(nodes: list, inputs: list, outputs: list, initializers: list) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initializers)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="clipgate"
    )


def weights() -> onnx.TensorProto:
    values = [weight(row, column) for row in range(FEATURES) for column in range(DIM)]
    return helper.make_tensor("weights", TensorProto.FLOAT, [FEATURES, DIM], values)


def external_weights() -> onnx.TensorProto:
    """Weights in the file beside the tests that is surely there and long enough."""
    tensor = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[FEATURES, DIM])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in [("location", "Cargo.lock"), ("offset", "0"), ("length", str(FEATURES * DIM * 4))]:
        tensor.external_data.add(key=key, value=value)
    return tensor


def value(name: str, shape: list, element: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, shape)


def embedder(shape: list, extra: list | None = None, initializer: onnx.TensorProto | None = None) -> onnx.ModelProto:
    """pixel_values -> image_embeds, flattened and multiplied with the weights."""
    nodes = [
        helper.make_node("Flatten", ["pixel_values"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["image_embeds"]),
    ]
    inputs = [value("pixel_values", shape), *(extra or [])]
    return model(nodes, inputs, [value("image_embeds", [shape[0], DIM])], [initializer or weights()])


def in_place() -> onnx.ModelProto:
    """As `embedder`, by operators that read the weights where they lie at every run: no kernel packs them."""
    values = [weight(row, column) for column in range(DIM) for row in range(FEATURES)]
    nodes = [
        helper.make_node("Flatten", ["pixel_values"], ["flat"]),
        helper.make_node("Mul", ["flat", "weights"], ["products"]),
        helper.make_node("ReduceSum", ["products", "axis"], ["sums"], keepdims=0),
        helper.make_node("Reshape", ["sums", "row"], ["image_embeds"]),
    ]
    initializers = [
        helper.make_tensor("weights", TensorProto.FLOAT, [DIM, FEATURES], values),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("row", TensorProto.INT64, [2], [1, DIM]),
    ]
    return model(nodes, [value("pixel_values", INPUT_SHAPE)], [value("image_embeds", [1, DIM])], initializers)


def identity(element: int, shape: list) -> onnx.ModelProto:
    node = helper.make_node("Identity", ["pixel_values"], ["image_embeds"])
    return model([node], [value("pixel_values", shape, element)], [value("image_embeds", shape, element)], [])


def two_outputs() -> onnx.ModelProto:
    nodes = [helper.make_node("Identity", ["pixel_values"], [name]) for name in ("image_embeds", "surplus")]
    outputs = [value("image_embeds", INPUT_SHAPE), value("surplus", INPUT_SHAPE)]
    return model(nodes, [value("pixel_values", INPUT_SHAPE)], outputs, [])


def tokens() -> onnx.ModelProto:
    """input_ids -> text_embeds, the ids themselves as f32."""
    node = helper.make_node("Cast", ["input_ids"], ["text_embeds"], to=TensorProto.FLOAT)
    return model([node], [value("input_ids", [1, 8], TensorProto.INT64)], [value("text_embeds", [1, 8])], [])


def graphs() -> dict[str, onnx.ModelProto]:
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
    map_type = helper.make_map_type_proto(TensorProto.INT64, tensor)
    optional_type = helper.make_optional_type_proto(helper.make_sequence_type_proto(tensor))
    sparse_type = helper.make_sparse_tensor_type_proto(TensorProto.FLOAT, [2])
    return {
        "tiny": embedder(INPUT_SHAPE),
        "in_place": in_place(),
        "tokens": tokens(),
        "dynamic_batch": embedder(["batch", 3, 4, 4]),
        "two_inputs": embedder(INPUT_SHAPE, [value("mask", [1, 4])]),
        "input_map": embedder(INPUT_SHAPE, [helper.make_value_info("scores", map_type)]),
        "input_optional": embedder(INPUT_SHAPE, [helper.make_value_info("maybe", optional_type)]),
        "input_sparse": embedder(INPUT_SHAPE, [helper.make_value_info("sparse", sparse_type)]),
        "input_only_optional": model(
            [helper.make_node("Constant", [], ["image_embeds"], value=weights())],
            [helper.make_value_info("maybe", optional_type)],
            [value("image_embeds", [FEATURES, DIM])],
            [],
        ),
        "two_outputs": two_outputs(),
        "float16": identity(TensorProto.FLOAT16, INPUT_SHAPE),
        "strings": identity(TensorProto.STRING, [1]),
        "int64_output": identity(TensorProto.INT64, INPUT_SHAPE),
        "empty_tensor": identity(TensorProto.FLOAT, [1, 0]),
        "huge_tensor": identity(TensorProto.FLOAT, [1 << 20, 1 << 20, 1 << 20]),
        "external_weights": embedder(INPUT_SHAPE, initializer=external_weights()),
    }


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name, graph in graphs().items():
        (directory / f"{name}.onnx").write_bytes(graph.SerializeToString(deterministic=True))
    for name in ("tiny", "in_place", "two_inputs"):
        optimise(directory / f"{name}.onnx", directory / f"{name}.ort")


if __name__ == "__main__":
    main()
