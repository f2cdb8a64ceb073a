"""ONNX files of a trained network, in float and in int8, and what onnxruntime makes of them.

Quantisation is onnxruntime's, after training, in the QDQ form: weights int8 symmetric with a scale for every output
channel, activations int8 with one scale and zero point a tensor, from the smallest and largest values that calibration
images give, biases int32. Every operator of the network is quantised, as a microcontroller's engine would run it.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parlay.errors import InputError, first_line
from parlay.extras import Needs
from parlay.graph.programs import quiet
from parlay.retrofit.source_notes import bare, module_of

with Needs("exporting networks", extra="train"):
    import torch
    from torch import nn

with Needs("ONNX files", extra="onnx"):
    import numpy as np
    import onnx
    import onnxruntime
    import onnxscript
    from onnxruntime import quantization

    del onnxscript  # torch's exporter needs it, and says so only when it is called

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

__all__ = ["check_int8", "export_float", "logits_of", "quantised", "session_of", "stored_bytes"]

INT8 = frozenset(
    "Abs Add ArgMax ArgMin AveragePool BatchNormalization Cast Clip Concat Constant Conv ConvTranspose DepthToSpace Div"
    " Dropout Elu Expand Flatten Gather Gemm GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity LeakyRelu"
    " LogSoftmax MatMul Max MaxPool Min Mul Neg PRelu Pad ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Resize"
    " Sigmoid Slice Softmax SpaceToDepth Split Squeeze Sub Sum Tanh Tile Transpose Unsqueeze".split()
)
"""ONNX operators that have a kernel for int8 in the usual engines of microcontrollers (LiteRT Micro, CMSIS-NN)."""

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
SHAPES = frozenset({"Shape", "Size"})
BATCH = 100
CALIBRATION_BATCH = 50
PRECISE = ("session.x64quantprecision", "1")
"""Keeps x86 without VNNI from kernels whose 16-bit sums can overflow, so that results are those of exact integers."""


def export_float(module: nn.Module, shape: Sequence[int]) -> bytes:
    """The network in evaluation mode as ONNX, float32, batch norms folded; the number of images left open if it can be.

    Args:
        module: left in its mode.
        shape: of one image, C, H, W.

    Raises:
        InputError: when torch cannot export it, in one line.
    """
    modes = [(part, part.training) for part in module.modules()]
    generator = torch.Generator().manual_seed(0)
    errors: list[str] = []
    try:
        module.eval()
        for batch, dims in ((2, ({0: torch.export.Dim("batch")},)), (1, None)):
            images = torch.randn(batch, *shape, generator=generator)
            with tempfile.TemporaryDirectory() as folder, quiet(), silent(), torch.no_grad():
                path = Path(folder) / "model.onnx"
                try:
                    torch.onnx.export(
                        module, (images,), path, dynamo=True, external_data=False, verbose=False, dynamic_shapes=dims
                    )
                except Exception as error:
                    errors.append(first_line(error))
                    continue
                return bare(path.read_bytes())
    finally:
        for part, mode in modes:
            part.training = mode
    raise InputError("model", given=f"one that cannot be exported to ONNX ({errors[-1]})", allowed="one that can")


def check_int8(content: bytes) -> None:
    """Refuse a network with an operator that has no int8 form.

    Raises:
        InputError: naming every such operator.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for node in _on_images(onnx.load_from_string(content)):
        if node.op_type not in INT8:
            path, kind = module_of(node)
            modules = found.setdefault((kind, node.op_type), [])
            if path and path not in modules:
                modules.append(path)
    if found:
        named = [
            f"{', '.join(modules) or 'forward'} ({kind}: {operator})" if kind else operator
            for (kind, operator), modules in sorted(found.items())
        ]
        raise InputError(
            "int8",
            given=f"a network with the operators {', '.join(named)}",
            allowed="what has an int8 form (docs/fit.md)",
            remedy="replace them in the model, or fit it in floats: --dtype float32",
        )


def quantised(content: bytes, images: FloatArray) -> bytes:
    """An exported network in int8.

    Args:
        content: ONNX, float32.
        images: calibration images as the network takes them, (N, C, H, W).

    Raises:
        InputError: when onnxruntime cannot quantise it, or leaves a layer in floats.
    """
    model = onnx.load_from_string(content)
    [name] = [given.name for given in model.graph.input]
    fixed = _batch_of(model)
    batch = CALIBRATION_BATCH if fixed is None else fixed
    chunks = [images[place : place + batch] for place in range(0, len(images) - batch + 1, batch)]

    class CalibrationReader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(chunks)

        def get_next(self) -> Any:  # None at the end, whatever the base class says
            found = next(self.left, None)
            return None if found is None else {name: found}

    with tempfile.TemporaryDirectory() as folder, silent():
        path = Path(folder) / "int8.onnx"
        try:
            quantization.quantize_static(
                model,
                path,
                CalibrationReader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QInt8,
                weight_type=quantization.QuantType.QInt8,
                op_types_to_quantize=sorted({node.op_type for node in _on_images(model)} & INT8),
            )
        except Exception as error:
            given = f"a network that onnxruntime cannot quantise ({first_line(error)})"
            raise InputError("int8", given=given) from error
        written = path.read_bytes()
    _check_layers(onnx.load_from_string(written))
    return written


def session_of(content: bytes, *, threads: int | None = None, is_plain: bool = False) -> onnxruntime.InferenceSession:
    """A session of onnxruntime on the CPU that prints nothing.

    Args:
        content: ONNX.
        threads: CPU threads; onnxruntime's choice if None.
        is_plain: run the file's graph unchanged.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry(*PRECISE)
    if threads is not None:
        options.intra_op_num_threads = threads
    if is_plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def logits_of(session: onnxruntime.InferenceSession, images: FloatArray) -> FloatArray:
    """Logits (N, classes) of images (N, C, H, W) as the network takes them."""
    [given] = session.get_inputs()
    batch = given.shape[0] if isinstance(given.shape[0], int) else BATCH
    parts = [
        np.asarray(session.run(None, {given.name: images[place : place + batch]})[0])
        for place in range(0, len(images), batch)
    ]
    return np.concatenate(parts)


def stored_bytes(content: bytes) -> int:
    """Bytes of the int8 weights and int32 biases in an int8 file, scales and the graph left out."""
    model = onnx.load_from_string(content)
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    read = {node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return sum(onnx.numpy_helper.to_array(values[name]).nbytes for name in read if name in values)


@contextmanager
def silent() -> Iterator[None]:
    """Neither log lines nor warnings of onnxruntime's quantiser and torch's exporter, which use the root logger."""
    import warnings

    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _on_images(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Nodes that work on what comes of the images; what is computed from shapes alone is left out."""
    there = {given.name for given in model.graph.input}
    for node in model.graph.node:
        if node.op_type not in SHAPES and there & set(node.input):
            there |= set(node.output)
            yield node


def _batch_of(model: onnx.ModelProto) -> int | None:
    """The number of images that a file is made for; None where it is open."""
    size = model.graph.input[0].type.tensor_type.shape.dim[0]
    return int(size.dim_value) if size.HasField("dim_value") else None


def _check_layers(model: onnx.ModelProto) -> None:
    dequantised = {name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    left = [
        module_of(n)[0] or n.name
        for n in model.graph.node
        if n.op_type in WEIGHTED and not set(n.input[:2]) <= dequantised
    ]
    if left:
        raise InputError(
            "int8",
            given=f"layers that onnxruntime leaves in floats: {', '.join(left[:4])}",
            allowed="layers that it quantises",
            remedy="replace them in the model, or fit it in floats: --dtype float32",
        )
