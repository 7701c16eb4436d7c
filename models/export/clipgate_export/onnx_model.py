"""What every ONNX graph of a bundle has in common: operator set, format version, and no traces of its making."""

from onnx import ModelProto

OPSET = 20
IR_VERSION = 10


def strip_traces(model: ModelProto) -> None:
    """Removes what tells where and how the graph was made, and operator sets that no node uses."""
    used = {node.domain for node in model.graph.node}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    for holder in (model, model.graph, *model.graph.node):
        if hasattr(holder, "metadata_props"):
            del holder.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
        value.doc_string = ""
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    model.doc_string = model.graph.doc_string = ""
    model.producer_name, model.producer_version = "clipgate_export", ""


def graph_bytes(model: ModelProto) -> bytes:
    """The same graph, the same bytes."""
    return model.SerializeToString(deterministic=True)
