"""A converted .tflite file put in order: channels last, pads within convolutions, values where TFLM reads them.

The converter keeps torch's order of dimensions at the input and around pads with an odd pixel behind, by transpositions
that copy whole tensors; and its quantiser puts some weights behind the flatbuffer, where TFLM finds none. Here
transpositions move towards the end until they meet their inverse, what is left of the one at the input becomes the
input's own order, and a pad that makes up what "same" padding would is left to the convolution.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# Packages of engines are seldom there where types are checked.

from __future__ import annotations

from typing import Any

import numpy as np

from parlay.device.tflite import same_padding

__all__ = ["tidied"]

TO_FRONT, TO_BACK = (0, 3, 1, 2), (0, 2, 3, 1)
"""Orders of transpositions that put channels first, and last."""


def tidied(content: bytes) -> bytes:
    """The file with fewer operators and the same results; its input takes images channels last."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(content), 0))
    [graph] = model.subgraphs
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    _Tidying(model, graph, schema).run()
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Tidying:
    """One pass over a graph's operators."""

    def __init__(self, model: Any, graph: Any, schema: Any) -> None:
        self.model, self.graph = model, graph
        self.schema, self.codes = schema, schema.BuiltinOperator

    def run(self) -> None:
        self._turn_input()
        while self._sink_one():
            pass
        self._fold_pads()
        self._share()
        self._prune()

    def _kind(self, operator: Any) -> int:
        code = self.model.operatorCodes[operator.opcodeIndex]
        return max(code.builtinCode, code.deprecatedBuiltinCode)

    def _value(self, place: int) -> np.ndarray:
        tensor = self.graph.tensors[place]
        data = self.model.buffers[tensor.buffer].data
        return np.frombuffer(bytes(bytearray(data)), np.int32).reshape(tensor.shape)

    def _order(self, operator: Any) -> tuple[int, ...]:
        """Of a transposition, or of a reshape that amounts to one; () for anything else."""
        kind = self._kind(operator)
        if kind == self.codes.TRANSPOSE:
            return tuple(int(axis) for axis in self._value(operator.inputs[1]))
        if kind == self.codes.RESHAPE:
            before, after = (tuple(self.graph.tensors[p].shape) for p in (operator.inputs[0], operator.outputs[0]))
            if len(before) == len(after) == 4 and before[1] == 1 and after == tuple(before[i] for i in TO_BACK):
                return TO_BACK
        return ()

    def _readers(self, place: int) -> list[Any]:
        return [operator for operator in self.graph.operators if place in operator.inputs]

    def _turn_input(self) -> None:
        """An image comes channels last, and a transposition takes it to the order that the converter chose."""
        [place] = self.graph.inputs
        tensor = self.graph.tensors[place]
        if len(tensor.shape) != 4:
            return
        turned = self._like(place, tuple(tensor.shape[i] for i in TO_BACK))
        self.graph.inputs = np.array([turned], np.int32)
        for signature in self.model.signatureDefs or []:
            for entry in signature.inputs:
                entry.tensorIndex = turned
        self.graph.operators.insert(0, self._transposition(turned, place))

    def _like(self, place: int, shape: tuple[int, ...]) -> int:
        """A further tensor like another, of another shape."""
        old, new = self.graph.tensors[place], self.schema.TensorT()
        for name in ("type", "quantization", "isVariable", "hasRank"):
            setattr(new, name, getattr(old, name))
        new.shape, new.buffer, new.name = np.array(shape, np.int32), 0, old.name
        self.graph.tensors.append(new)
        return len(self.graph.tensors) - 1

    def _constant(self, value: np.ndarray, name: str) -> int:
        buffer, tensor = self.schema.BufferT(), self.schema.TensorT()
        buffer.data = np.frombuffer(value.astype(np.int32).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.shape, tensor.type, tensor.name = np.array(value.shape, np.int32), self.schema.TensorType.INT32, name
        tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _transposition(self, source: int, target: int) -> Any:
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self._code(self.codes.TRANSPOSE)
        operator.inputs = np.array([source, self._constant(np.array(TO_FRONT), "order")], np.int32)
        operator.outputs = np.array([target], np.int32)
        return operator

    def _code(self, kind: int) -> int:
        for index, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == kind:
                return index
        code = self.schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        code.version = 1
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def _sink_one(self) -> bool:
        """Move one transposition past an operator that reads it, or remove one with its inverse."""
        for number, operator in enumerate(self.graph.operators):
            if self._order(operator) != TO_FRONT:
                continue
            source, turned = int(operator.inputs[0]), int(operator.outputs[0])
            readers = self._readers(turned)
            for reader in readers:
                if self._order(reader) == TO_BACK:
                    self._replace(int(reader.outputs[0]), source)
                    self._remove(reader)
                    return True
                if self._kind(reader) == self.codes.PAD:
                    self._sink_below_pad(reader, source)
                    return True
                if self._averages_pixels(reader):
                    reader.inputs = np.array([source, self._constant(np.array([1, 2]), "pixels")], np.int32)
                    return True
            if not readers and turned not in self.graph.outputs:
                del self.graph.operators[number]
                return True
        return False

    def _averages_pixels(self, operator: Any) -> bool:
        """Whether it is a mean over both sides of channels that come first, whose output has neither side."""
        if self._kind(operator) != self.codes.MEAN or operator.builtinOptions.keepDims:
            return False
        return sorted(self._value(int(operator.inputs[1])).tolist()) == [2, 3]

    def _sink_below_pad(self, pad: Any, source: int) -> None:
        amounts = self._value(pad.inputs[1])[list(TO_BACK)]
        target = int(pad.outputs[0])
        padded = self._like(target, tuple(int(self.graph.tensors[target].shape[i]) for i in TO_BACK))
        pad.inputs = np.array([source, self._constant(amounts, "pads")], np.int32)
        pad.outputs = np.array([padded], np.int32)
        self.graph.operators.insert(_place(self.graph.operators, pad) + 1, self._transposition(padded, target))

    def _remove(self, operator: Any) -> None:
        del self.graph.operators[_place(self.graph.operators, operator)]

    def _replace(self, old: int, new: int) -> None:
        for operator in self.graph.operators:
            operator.inputs = np.array([new if place == old else place for place in operator.inputs], np.int32)
        self.graph.outputs = np.array([new if place == old else place for place in self.graph.outputs], np.int32)

    def _fold_pads(self) -> None:
        """A pad that only convolutions without padding read, and that is what "same" adds, is theirs."""
        for pad in [operator for operator in self.graph.operators if self._kind(operator) == self.codes.PAD]:
            source, padded = int(pad.inputs[0]), int(pad.outputs[0])
            readers = self._readers(padded)
            if readers and all(self._is_same(pad, reader) for reader in readers):
                for reader in readers:
                    reader.builtinOptions.padding = self.schema.Padding.SAME
                self._replace(padded, source)
                self._remove(pad)

    def _is_same(self, pad: Any, reader: Any) -> bool:
        if self._kind(reader) not in (self.codes.CONV_2D, self.codes.DEPTHWISE_CONV_2D):
            return False
        options = reader.builtinOptions
        if options.padding != self.schema.Padding.VALID:
            return False
        sides = self.graph.tensors[int(pad.inputs[0])].shape[1:3]
        kernels = self.graph.tensors[int(reader.inputs[1])].shape[1:3]
        strides = (options.strideH, options.strideW)
        dilations = (options.dilationHFactor, options.dilationWFactor)
        wanted = [(0, 0)]
        for side, kernel, stride, dilation in zip(sides, kernels, strides, dilations, strict=True):
            wanted.append(same_padding(int(side), kernel=int(kernel), stride=stride, dilation=dilation))
        return self._value(int(pad.inputs[1])).tolist() == [list(pair) for pair in (*wanted, (0, 0))]

    def _share(self) -> None:
        """Small constants that are alike, such as the amounts of pads, are one."""
        first: dict[tuple[bytes, tuple[int, ...]], int] = {}
        for operator in self.graph.operators:
            for place in operator.inputs:
                tensor = self.graph.tensors[place]
                if place < 0 or tensor.type != self.schema.TensorType.INT32 or tensor.quantization is not None:
                    continue
                data = self.model.buffers[tensor.buffer].data
                if data is not None and len(data):
                    key = bytes(bytearray(data)), tuple(map(int, tensor.shape))
                    self._replace(int(place), first.setdefault(key, int(place)))

    def _prune(self) -> None:
        """Drop tensors, values and kinds of operators that nothing uses any more."""
        graph, model = self.graph, self.model
        used = [*graph.inputs, *graph.outputs]
        used += [p for operator in graph.operators for p in (*operator.inputs, *operator.outputs) if p >= 0]
        kept = sorted({int(place) for place in used})
        moved = {old: new for new, old in enumerate(kept)} | {-1: -1}
        graph.tensors = [graph.tensors[place] for place in kept]
        for place, tensor in enumerate(graph.tensors):
            if kept[place] not in (*graph.inputs, *graph.outputs):
                tensor.name = None  # names of modules, joined: a tenth of a small file, and no engine reads them
        for one in (graph, *graph.operators):
            one.inputs = np.array([moved[int(place)] for place in one.inputs], np.int32)
            one.outputs = np.array([moved[int(place)] for place in one.outputs], np.int32)
        for signature in model.signatureDefs or []:
            for entry in (*signature.inputs, *signature.outputs):
                entry.tensorIndex = moved[entry.tensorIndex]
        held = {0, *(tensor.buffer for tensor in graph.tensors), *(entry.buffer for entry in model.metadata or [])}
        places = {old: new for new, old in enumerate(sorted(held))}
        model.buffers = [model.buffers[place] for place in sorted(held)]
        for one in (*graph.tensors, *(model.metadata or [])):
            one.buffer = places[one.buffer]
        codes = sorted({operator.opcodeIndex for operator in graph.operators})
        model.operatorCodes = [model.operatorCodes[code] for code in codes]
        for operator in graph.operators:
            operator.opcodeIndex = codes.index(operator.opcodeIndex)


def _place(operators: list[Any], wanted: Any) -> int:
    return next(place for place, operator in enumerate(operators) if operator is wanted)
