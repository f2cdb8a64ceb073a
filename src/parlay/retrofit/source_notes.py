"""What torch notes in an ONNX file about a model's source code, and an ONNX file without it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

__all__ = ["bare", "module_of"]

MODULE = "parlay.module"
"""Note of an ONNX node: path and class of the module that it comes of."""


def bare(content: bytes) -> bytes:
    """The file without what torch notes about the model's source: lines and paths of code, which no device needs.

    What stays is the module that every node comes of.
    """
    import onnx

    model = onnx.load_from_string(content)
    graph = model.graph
    modules = [_module_noted(node) for node in graph.node]
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for node, module in zip(graph.node, modules, strict=True):
        if module:
            node.metadata_props.add(key=MODULE, value=module)
    del graph.value_info[:]
    return model.SerializeToString()


def _module_noted(node: onnx.NodeProto) -> str:
    """``path: class`` of the module that a node comes of, after torch; of one that is not torch's, the operator."""
    notes = {note.key: note.value for note in node.metadata_props}
    try:
        scopes = ast.literal_eval(notes["pkg.torch.onnx.name_scopes"])
        classes = ast.literal_eval(notes["pkg.torch.onnx.class_hierarchy"])
        kind = classes[-2] if classes[-2].startswith("torch.nn.") else classes[-1].removeprefix("aten.").split(".")[0]
        return f"{scopes[-2]}: {kind.rpartition('.')[2]}"
    except (LookupError, ValueError, SyntaxError, AttributeError):  # another version of torch notes something else
        return ""


def module_of(node: onnx.NodeProto) -> tuple[str, str]:
    """Path and class of the module that a node comes of, as ``bare`` keeps them; empty where that is not known."""
    path, _, kind = next((note.value for note in node.metadata_props if note.key == MODULE), "").partition(": ")
    return path, kind
