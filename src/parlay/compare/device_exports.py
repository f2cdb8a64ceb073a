"""One file for one engine, made and measured in a process of its own: ``python -m parlay.compare.device_exports``.

Every exporter begins with the same exported program, pads of pixels folded into the convolutions that read them, as
torch's ONNX exporter has them. Int8 throughout: weights per channel, activations per tensor, ranges from calibration
images.
"""

# pyright: reportMissingImports=false
# Packages of engines are seldom there where types are checked.

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from parlay.compare.channels_last import tidied
from parlay.device.tflite import parse_tflite, with_plan
from parlay.device.tflm import MICRO, Allocation, arena_of
from parlay.documents import write_atomically
from parlay.errors import InputError, first_line
from parlay.extras import Needs

with Needs("exporting networks", extra="train"):
    import torch
    from torch import Tensor
    from torch.fx import GraphModule

__all__ = ["CORE", "EXPORTERS", "CortexM", "Exporter", "LiteRT", "Xnnpack", "fold_pads"]

CORE = "cortex-m4"
"""Scratch of CMSIS-NN is planned for this core, with its DSP instructions."""
MOST_ARENA = 1 << 28
"""Bytes that LiteRT Micro is given to plan in."""
ARENA = "all that LiteRT Micro allocates on a 32-bit device, its records included, with the plan that the file carries"


@dataclass(frozen=True, kw_only=True)
class Made:
    """An exporter's file.

    Attributes:
        content: the file.
        arena_bytes, arena: as in ``parlay.compare.devices.DeviceFile``.
    """

    content: bytes
    arena_bytes: int | None
    arena: str


class Exporter(ABC):
    """Makes a file, and runs it.

    Attributes:
        run_by: what runs it here.
        plan: whether the file may carry a plan of its arena.
    """

    run_by: str
    plan: bool = True

    @abstractmethod
    def export(self, module: GraphModule, images: Sequence[Tensor]) -> Made:
        """The file.

        Args:
            module: exported for one image, in floats.
            images: calibration images, each 1 x C x H x W.
        """

    @abstractmethod
    def logits(self, path: Path, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Logits (classes,) of float32 images (C, H, W), one after another, from the file at a path."""


def fold_pads(module: GraphModule) -> GraphModule:
    """Move zero pads that are alike on opposite sides into the convolutions that alone read them; in place.

    A pad with an odd pixel behind stays: convolutions of torch have no such padding.
    """
    aten = torch.ops.aten
    for node in list(module.graph.nodes):
        if node.target is not aten.pad.default:
            continue
        given: tuple[Any, ...] = (*node.args, *("constant", None)[len(node.args) - 2 :])
        source, amounts, mode, value = given
        alike = len(amounts) == 4 and amounts[0] == amounts[1] >= 0 and amounts[2] == amounts[3] >= 0
        readers = [user for user in node.users if user.target is aten.conv2d.default and user.args[0] is node]
        if mode != "constant" or value or not alike or len(readers) < len(node.users):
            continue
        for user in readers:
            defaults = (None, [1, 1], [0, 0], [1, 1], 1)  # bias, stride, padding, dilation, groups
            given = (*user.args, *defaults[len(user.args) - 2 :])
            _, weight, bias, stride, padding, dilation, groups = given
            padding = [padding[0] + amounts[2], padding[-1] + amounts[0]]
            user.args = (source, weight, bias, stride, padding, dilation, groups)
        module.graph.erase_node(node)
    module.recompile()
    return module


class Xnnpack(Exporter):
    """ExecuTorch with its kernels for CPUs of phones and computers."""

    run_by = "ExecuTorch's runtime with XNNPACK"

    def export(self, module: GraphModule, images: Sequence[Tensor]) -> Made:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )
        from executorch.exir import to_edge_transform_and_lower

        config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=False)
        program = _quantised(module, XNNPACKQuantizer().set_global(config), images)
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
        return Made(
            content=bytes(lowered.buffer),
            arena_bytes=None,
            arena="XNNPACK allocates activations itself when it loads the program, which plans input and output only",
        )

    def logits(self, path: Path, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        import executorch.kernels.quantized  # noqa: F401  # operators that XNNPACK may leave
        from executorch.runtime import Runtime

        content = path.read_bytes()
        program = Runtime.get().load_program(content)  # held, like the bytes, as long as the method runs
        method = program.load_method("forward")
        assert method is not None
        for image in images:
            yield method.execute([torch.from_numpy(image[None])])[0].numpy()[0]


class CortexM(Exporter):
    """ExecuTorch with CMSIS-NN for microcontrollers; its kernels are no part of the Python package.

    The program takes int8 images, channels last, and gives logits in floats.
    """

    run_by = "the operators' reference in Python, before serialisation"

    def export(self, module: GraphModule, images: Sequence[Tensor]) -> Made:
        from executorch.backends.cortex_m.edge_compile_config import cortex_m_edge_compile_config
        from executorch.backends.cortex_m.passes.cortex_m_pass_manager import CortexMPassManager
        from executorch.backends.cortex_m.quantizer.quantizer import CortexMQuantizer
        from executorch.backends.cortex_m.target_config import CortexMTargetConfig
        from executorch.exir import to_edge_transform_and_lower
        from executorch.exir.passes.quantize_io_pass import QuantizeInputs

        images = [_channels_last(image) for image in images]
        module = module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        module = torch.export.export(module, (images[0],)).module(check_guards=False)
        program = _quantised(module, CortexMQuantizer(), images)
        edge = to_edge_transform_and_lower(program, compile_config=cortex_m_edge_compile_config())
        integers = QuantizeInputs(edge, [0])
        integers.call(edge.exported_program().graph_module)  # in place; methods input0_scale, input0_zp, ... say how
        self.scale, self.zero = integers.quant_args[0][:2]
        passes = CortexMPassManager(edge.exported_program(), target_config=CortexMTargetConfig.from_target_string(CORE))
        edge._edge_programs["forward"] = passes.transform()  # as ExecuTorch's own aot_arm_compiler does
        self.reference = edge.exported_program().module(check_guards=False)
        lowered = edge.to_executorch()
        [plan] = [plan for plan in lowered.executorch_program.execution_plan if plan.name == "forward"]
        others = sorted({operator.name for operator in plan.operators if not operator.name.startswith("cortex_m::")})
        if others:
            raise ValueError(f"operators without an int8 kernel: {', '.join(others)}")
        return Made(
            content=bytes(lowered.buffer),
            arena_bytes=sum(plan.non_const_buffer_sizes),
            arena=f"ExecuTorch's memory plan, scratch of CMSIS-NN for {CORE} included",
        )

    def logits(self, path: Path, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        with torch.no_grad():
            for image in images:
                integers = torch.from_numpy(_integers(image[None], self.scale, self.zero, np.int8))
                yield self.reference(_channels_last(integers)).numpy()[0]


class LiteRT(Exporter):
    """LiteRT, formerly TensorFlow Lite; the arena is that of LiteRT for Microcontrollers.

    The file takes images channels last, and carries the best plan of its arena where that beats the engine's own.
    """

    run_by = "LiteRT's interpreter"

    def export(self, module: GraphModule, images: Sequence[Tensor]) -> Made:
        import litert_torch
        from ai_edge_quantizer import quantizer, recipe

        with tempfile.TemporaryDirectory() as folder:
            plain, int8 = Path(folder) / "plain.tflite", Path(folder) / "int8.tflite"
            litert_torch.convert(_Evaluated(module), (images[0],)).export(str(plain))
            maker = quantizer.Quantizer(str(plain), recipe.static_wi8_ai8())
            [(signature, names)] = _interpreter(plain).get_signature_list().items()
            samples = [{names["inputs"][0]: image.numpy()} for image in images]
            maker.quantize(maker.calibrate({signature: samples})).export_model(str(int8))
            content = tidied(int8.read_bytes())
        if self.plan:
            content = planned(content)
        reason = _micro_refusal(content)
        if reason is not None:
            return Made(content=content, arena_bytes=None, arena=f"LiteRT Micro cannot run this file: {reason}")
        return Made(content=content, arena_bytes=_arena_bytes(content), arena=ARENA)

    def logits(self, path: Path, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        interpreter = _interpreter(path)
        interpreter.allocate_tensors()
        [given], [found] = interpreter.get_input_details(), interpreter.get_output_details()
        for image in images:
            scale, zero = given["quantization"]
            last = np.moveaxis(image, 0, -1) if image.ndim == 3 else image  # images come channels last
            interpreter.set_tensor(given["index"], _integers(last[None], scale, zero, given["dtype"]))
            interpreter.invoke()
            scale, zero = found["quantization"]
            yield (interpreter.get_tensor(found["index"])[0].astype(np.float32) - zero) * scale


EXPORTERS: dict[str, type[Exporter]] = {kind.__name__: kind for kind in (Xnnpack, CortexM, LiteRT)}


class _Evaluated(torch.nn.Module):
    """An exported module without the switch of modes that it refuses."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__()
        self.inner = module

    def train(self, mode: bool = True) -> _Evaluated:
        self.training = mode
        return self

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images)


def _quantised(module: GraphModule, quantizer: Any, images: Sequence[Tensor]) -> torch.export.ExportedProgram:
    """Quantised after training by torchao, ranges from the images."""
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    with torch.no_grad():
        prepared = prepare_pt2e(module, quantizer)
        for image in images:
            prepared(image)
        return torch.export.export(convert_pt2e(prepared), (images[0],))


def _channels_last(image: Tensor) -> Tensor:
    return image.to(memory_format=torch.channels_last)


def _interpreter(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(str(path), num_threads=1)


def _integers(image: np.ndarray, scale: float, zero: int, dtype: type) -> np.ndarray:
    """Floats as the integers that a quantised input takes.

    >>> _integers(np.array([-9.0, 0.1, 0.26]), 0.1, -1, np.int8)
    array([-91,   0,   2], dtype=int8)
    """
    limits = np.iinfo(dtype)
    return np.clip(np.round(image / scale) + zero, limits.min, limits.max).astype(dtype)


def planned(content: bytes) -> bytes:
    """The file with the best plan of its arena in it, where that beats the plan that LiteRT Micro makes itself."""
    try:
        allocation = Allocation(model=parse_tflite(content, "the file"), target=MICRO)
        best, own = allocation.best, allocation.planned()
    except InputError:  # an operator without a description: the file goes as it is
        return content
    return with_plan(content, allocation.offsets(best)) if best.bytes < own.bytes else content


def _arena_bytes(content: bytes) -> int | None:
    """What LiteRT Micro allocates on a 32-bit device; None where an operator is not described."""
    try:
        return arena_of(parse_tflite(content, "the file"), MICRO).total
    except InputError:
        return None


def _micro_refusal(content: bytes) -> str | None:
    """Why LiteRT Micro cannot run what LiteRT runs, in its own words; None where it can."""
    from tflite_micro.python.tflite_micro import runtime

    lines: list[str] = []
    try:
        with _printed() as lines:
            interpreter = runtime.Interpreter.from_bytes(content, arena_size=MOST_ARENA)
            given = interpreter.get_input_details(0)
            interpreter.set_input(np.zeros(given["shape"], given["dtype"]), 0)
            interpreter.invoke()
    except Exception as error:  # RuntimeError in its present versions, without a reason
        return micro_reason("".join(lines)) or first_line(error)
    return None


def micro_reason(printed: str) -> str:
    r"""What LiteRT Micro printed before it gave up: the operator it has no kernel for, or its first line.

    >>> micro_reason("Didn't find op for builtin opcode 'SELECT'\nFailed to get registration from op code SELECT\n")
    'it has no kernel for SELECT'
    >>> micro_reason("Transpose op only supports 1D-5D input arrays.\nNode TRANSPOSE (number 6f) failed to prepare\n")
    'Transpose op only supports 1D-5D input arrays'
    """
    operators = re.findall(r"Didn't find op for builtin opcode '(\w+)'", printed)
    if operators:
        return f"it has no kernel for {', '.join(dict.fromkeys(operators))}"
    first = next((line.strip() for line in printed.splitlines() if line.strip()), "")
    return re.sub(r"^\S+:\d+ ", "", first).rstrip(". ")


@contextmanager
def _printed() -> Iterator[list[str]]:
    """What libraries print on stderr inside the block, there when it ends."""
    lines: list[str] = []
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            lines.append(file.read().decode(errors="replace"))


def make(exporter: Exporter, folder: Path, path: Path, most: int | None) -> dict[str, Any]:
    """Export what lies in a folder to a path, and measure what then lies there.

    Returns:
        The fields of ``DeviceFile`` but for its names.
    """
    program = torch.export.load(folder / "program.pt2")
    given = np.load(folder / "images.npz")
    module = fold_pads(program.module(check_guards=False))  # pyright: ignore[reportArgumentType]
    made = exporter.export(module, [image[None] for image in torch.from_numpy(given["calibration"])])
    write_atomically(path, made.content)
    labels = given["labels"][:most]
    means, deviations = (given[name][:, None, None] for name in ("means", "deviations"))
    images = ((image.astype(np.float32) - means) / deviations for image in given["images"][:most])
    right = sum(
        int(found.argmax()) == label for found, label in zip(exporter.logits(path, images), labels, strict=True)
    )
    return {
        "file_bytes": len(made.content),
        "arena_bytes": made.arena_bytes,
        "arena": made.arena,
        "accuracy": float(right / len(labels)),
        "images": len(labels),
        "run_by": exporter.run_by,
    }


def main(arguments: Sequence[str]) -> None:
    """Exporter, folder, path, most images and whether to plan; what came of it goes into the folder's ``answer.json``.

    Args:
        arguments: ``no-plan`` at the end leaves the plan of the arena out.
    """
    name, folder, path, most, *rest = arguments
    answer = Path(folder) / "answer.json"
    try:
        exporter = EXPORTERS[name]()
        exporter.plan = rest != ["no-plan"]
        facts = make(exporter, Path(folder), Path(path), int(most) if most else None)
    except Exception as error:
        write_atomically(answer, json.dumps({"error": first_line(error)}))
        raise
    write_atomically(answer, json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1:])
