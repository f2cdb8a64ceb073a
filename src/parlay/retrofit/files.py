"""A retrofit on disk: layout.json, weights.safetensors, model.onnx, rebuild.py; and ``load``, which reads it back."""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from parlay.documents import SCHEMA_VERSION, document, portable, without_folders, write_atomically
from parlay.errors import CertificateError, InputError, first_line
from parlay.extras import Needs
from parlay.graph import WidthGraph, measure, trace
from parlay.graph.build import refuse_meta
from parlay.graph.programs import quiet
from parlay.graph.slicing import largest, norms
from parlay.graph.specs import parse_inputs
from parlay.layout import Layout
from parlay.retrofit.solve_retrofit import Retrofit
from parlay.retrofit.source_notes import bare

with Needs("building networks", extra="train"):
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save
    from torch import Tensor, nn

__all__ = [
    "Origin",
    "Written",
    "load",
    "network_facts",
    "rebuild_script",
    "refuse_overwriting",
    "structure_hash",
    "unique_tensors",
    "write_files",
]

KIND = "parlay layout"
PACKAGES = ("parlay", "torch", "torchvision", "timm", "numpy")
NAMES = ("layout.json", "weights.safetensors", "model.onnx", "rebuild.py")
TOLERANCE = 1e-3
"""Largest difference between torch and onnxruntime, relative to the largest output, for an ONNX file to be written."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a model came from, as the command line was told.

    Attributes:
        spec: name of the model.
        kwargs: keyword arguments of its factory.
        inputs: shape of every input for one image; as it was written where it stands for integers.
        pins: patterns of modules whose widths were kept.
    """

    spec: str
    kwargs: Mapping[str, Any]
    inputs: Sequence[Sequence[int] | str]
    pins: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Written:
    """What ``write_files`` wrote.

    Attributes:
        module: the network, with the weights that were written.
        paths: the files.
        onnx_difference: largest difference between torch and onnxruntime, relative to the largest output; None without
            ONNX.
        onnx_note: why there is no ONNX file, or empty.
    """

    module: nn.Module
    paths: tuple[Path, ...]
    onnx_difference: float | None
    onnx_note: str


def structure_hash(model: nn.Module) -> str:
    """SHA-256 over the names and shapes of all parameters and buffers, and the model's class.

    >>> structure_hash(nn.Linear(2, 3)) == structure_hash(nn.Linear(2, 3)), structure_hash(nn.Linear(2, 4))[:8]
    (True, '54776a6f')
    """
    state = [(name, list(t.shape)) for name, t in model.state_dict().items() if isinstance(t, Tensor)]
    text = json.dumps([type(model).__qualname__, state])
    return hashlib.sha256(text.encode()).hexdigest()


def write_files(
    found: Retrofit,
    folder: Path,
    origin: Origin,
    *,
    keep_weights: bool = False,
    seed: int = 0,
    overwrite: bool = False,
) -> Written:
    """Build the best layout, count it, and write it.

    Args:
        found: a retrofit with a layout.
        folder: made where it is missing.
        origin: where the model came from.
        keep_weights: keep the model's weights: the channels of largest norm where a width shrinks, all and new ones
            where it grows (``parlay.graph.slicing``); otherwise initialise from ``seed``.
        seed: of the initialisation.
        overwrite: replace files of an earlier retrofit.

    Raises:
        InputError: when files are there already, or the folder cannot be written.
    """
    if not overwrite:
        refuse_overwriting(folder)
    refuse_meta(found.graph.model, "weights that are written")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("out", given=str(folder), allowed="a folder that can be made", remedy=str(error)) from None
    layout = found.solutions()[0].layout
    keep = largest(found.graph, norms(found.graph), layout) if keep_weights else None
    module = found.graph.build(layout, keep=keep, seed=seed)
    recount(found, module)
    weights = save({name: tensor.detach().contiguous().clone() for name, tensor in unique_tensors(module).items()})
    onnx, difference, note = _onnx(module, found.graph.example.sized(1))
    for name in NAMES:  # there only on request; what follows must not stand beside files of another layout
        (folder / name).unlink(missing_ok=True)
    facts = layout_facts(found, origin, module, hashlib.sha256(weights).hexdigest())
    contents: dict[str, str | bytes] = {"weights.safetensors": weights, "rebuild.py": rebuild_script(origin)}
    if onnx is not None:
        contents["model.onnx"] = onnx
    contents["layout.json"] = document(facts)  # last: a folder with it is complete
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return Written(
        module=module,
        paths=tuple(folder / name for name in contents),
        onnx_difference=difference,
        onnx_note=note,
    )


def recount(found: Retrofit, module: nn.Module) -> None:
    """Count the built network itself, by running it, and hold it against prediction and limits.

    Multiply-adds and memory are compared where the given model's own agree with the prediction: torch counts no
    multiply-adds for some operators.

    Raises:
        CertificateError: when a number differs, which would be a bug of parlay; nothing is written then.
    """
    graph, dtype = found.graph, found.limits.dtype
    inputs = graph.example.sized(1)
    before = measure(graph.model, inputs, dtype=dtype)
    try:
        after = measure(module, inputs, dtype=dtype)
    except Exception as error:
        raise CertificateError(f"the built network does not run ({first_line(error)})") from error
    wrong: list[str] = []
    for name in ("params", "macs", "peak_activation_bytes"):
        trusted = name == "params" or getattr(before, name) == found.amounts(graph.layout)[name]
        predicted, counted = found.amounts(found.layout)[name], getattr(after, name)
        if trusted and counted != predicted:
            wrong.append(f"{name} of the built network is {counted}, not {predicted}")
    if wrong:
        raise CertificateError("; ".join(wrong))


def refuse_overwriting(folder: Path) -> None:
    """Raise when a folder holds files that ``write_files`` would replace.

    Raises:
        InputError: naming them.
    """
    there = [name for name in NAMES if (folder / name).exists()]
    if there:
        raise InputError(
            "out",
            given=f"{folder}, which holds {', '.join(there)}",
            allowed="a folder without a retrofit",
            remedy="choose another folder or add --overwrite",
        )


def unique_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, the ones that states leave out included, shared ones once."""
    seen: set[int] = set()
    found: dict[str, Tensor] = {}
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if id(tensor) not in seen:
            seen.add(id(tensor))
            found[name] = tensor
    return found


def layout_facts(found: Retrofit, origin: Origin, module: nn.Module, weights_hash: str) -> dict[str, Any]:
    """The content of layout.json."""
    graph, layout = found.graph, found.layout
    result = found.result
    return {
        **network_facts(graph, layout, origin, module, weights_hash),
        **found.amounts(layout),
        "dtype": found.limits.dtype,
        "before": found.amounts(graph.layout),
        "score": found.problem.score.name,
        "score_value": result.best.score_value,
        "status": result.status.value,
        "gap": result.gap,
        "constraints": [str(constraint) for constraint in found.problem.constraints],
    }


def network_facts(
    graph: WidthGraph, layout: Layout, origin: Origin, module: nn.Module, weights_hash: str
) -> dict[str, Any]:
    """What of layout.json ``load`` needs to build a network again."""
    return {
        "kind": KIND,
        "spec": portable(origin.spec),
        "model_kwargs": json.loads(without_folders(json.dumps(dict(origin.kwargs)))),
        "inputs": [shape if isinstance(shape, str) else list(shape) for shape in origin.inputs],
        "pins": list(origin.pins),
        "layout": list(layout),
        "groups": [
            {"name": group.name, "before": before, "after": after, "members": list(group.members)}
            for group, before, after in zip(graph.space.groups, graph.layout, layout, strict=True)
        ],
        "hashes": {
            "model": structure_hash(graph.model),
            "network": structure_hash(module),
            "weights": weights_hash,
        },
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _onnx(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[bytes | None, float | None, str]:
    """The network as ONNX, run by onnxruntime on random images and compared with torch."""
    try:
        with Needs("ONNX files", extra="onnx"):
            import onnxruntime
            import onnxscript
    except ImportError as error:
        return None, None, str(error)
    del onnxscript
    generator = torch.Generator().manual_seed(0)
    images = tuple(
        torch.randn(item.shape, generator=generator, dtype=item.dtype) if item.is_floating_point() else item
        for item in inputs
    )
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        with tempfile.TemporaryDirectory() as folder, quiet(), torch.no_grad():
            path = Path(folder) / "model.onnx"
            torch.onnx.export(module, images, path, dynamo=True, external_data=False, verbose=False)
            content = bare(path.read_bytes())
            session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
            feed = {node.name: image.numpy() for node, image in zip(session.get_inputs(), images, strict=True)}
            theirs: list[Any] = list(session.run(None, feed))
            ours = _tensors(module(*images))
    except Exception as error:
        return None, None, f"this network cannot be exported to ONNX ({first_line(error)})"
    finally:
        for part, mode in modes:
            part.training = mode
    largest = max(float(out.abs().max()) for out in ours)
    difference = max(
        float((out - torch.from_numpy(other)).abs().max()) for out, other in zip(ours, theirs, strict=True)
    )
    relative = difference / max(largest, 1e-12)
    if not relative <= TOLERANCE:
        return None, relative, f"onnxruntime differs from torch by {relative:.2g} of the largest output"
    return content, relative, ""


def _tensors(value: Any) -> list[Tensor]:
    from torch.utils._pytree import tree_leaves

    plain = list(value.values()) if isinstance(value, dict) else value
    return [leaf for leaf in tree_leaves(plain) if isinstance(leaf, Tensor)]


def rebuild_script(origin: Origin) -> str:
    """A short Python file that builds the network again."""
    place, colon, attribute = origin.spec.rpartition(":")
    source, folder = repr(origin.spec), ""
    if colon and place.endswith(".py"):
        known = str(Path(place).resolve())
        folder = (
            f"\nknown = Path({known!r})  # where the model was found; a copy beside this file goes first\n"
            "beside = Path(__file__).with_name(known.name)\n"
        )
        source = f'f"{{beside if beside.is_file() else known}}:{attribute}"'
    elif colon:
        folder = f"\nsys.path.insert(0, {str(Path.cwd())!r})  # where the module was found"
    return f'''"""Builds the network of layout.json, with the weights beside it. Written by parlay."""

import sys
from pathlib import Path

import parlay
from parlay.graph.specs import load_model
{folder}

def original():
    """The model at its own widths; runs the code that its name stands for."""
    return load_model({source}, {dict(origin.kwargs)!r})


def build():
    """The network at its new widths."""
    return parlay.load(Path(__file__).with_name("layout.json"), factory=original)


if __name__ == "__main__":
    network = build()
    print(sum(parameter.numel() for parameter in network.parameters()), "parameters", file=sys.stdout)
'''


def load(path: str | Path, factory: Callable[..., nn.Module] | nn.Module | None = None) -> nn.Module:
    """The network that a layout file describes, with the weights beside it where there are some.

    Args:
        path: ``layout.json`` as ``parlay retrofit --out`` writes it.
        factory: makes the original model; called without arguments, or the model itself. Nothing is imported because a
            file says so: whoever calls states which code runs.

    Raises:
        InputError: for a file that is none, of a newer version, or of another model; or without a factory.
    """
    if not isinstance(path, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError("layout file", given=type(path).__name__, allowed="a path")
    place = Path(path)
    facts = _read(place)
    model = _model_from(factory, facts, place)
    texts = [shape if isinstance(shape, str) else "x".join(map(str, shape)) for shape in facts["inputs"]]
    inputs = parse_inputs(texts, model)
    graph = trace(model, inputs, pin=facts["pins"])
    names = [group["name"] for group in facts["groups"]]
    if names != [group.name for group in graph.space.groups]:
        raise InputError(
            f"groups of {place.name}",
            given=f"{len(names)} groups",
            allowed=f"the {len(graph.space)} groups that this version of parlay traces",
            remedy="retrofit again with this version",
        )
    network = graph.build(tuple(facts["layout"]), seed=0)
    if structure_hash(network) != facts["hashes"]["network"]:
        raise InputError(f"network of {place.name}", given="other shapes", allowed="those that were written")
    weights = place.with_name("weights.safetensors")
    if weights.exists():
        _load_weights(network, weights)
    return network


def _model_from(factory: object, facts: Mapping[str, Any], place: Path) -> nn.Module:
    """The original model, if it is the one that the file was written for."""
    if factory is None or not (callable(factory) or isinstance(factory, nn.Module)):
        raise InputError(
            "factory",
            given="none" if factory is None else repr(factory)[:80],
            allowed=f"what makes {facts['spec']!r} at its own widths: a function, or the model",
            remedy="parlay runs no code that a file names",
        )
    model = factory if isinstance(factory, nn.Module) else factory()
    if not isinstance(model, nn.Module):
        raise InputError("factory", given=type(model).__name__, allowed="one that returns a torch.nn.Module")
    if structure_hash(model) != facts["hashes"]["model"]:
        raise InputError(
            f"model for {place.name}",
            given=f"a {type(model).__name__} with other names or shapes of parameters",
            allowed=f"{facts['spec']} with {facts['model_kwargs'] or 'no arguments'}",
            remedy=f"written with {', '.join(f'{k} {v}' for k, v in facts['versions'].items())}",
        )
    return model


def _read(place: Path) -> dict[str, Any]:
    allowed = "a layout.json as parlay retrofit --out writes it"
    try:
        facts = json.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("layout file", given=str(place), allowed=allowed, remedy=error.strerror or "") from None
    except ValueError as error:
        raise InputError(
            "layout file", given=f"{place}, which is no JSON", allowed=allowed, remedy=str(error)
        ) from None
    if not isinstance(facts, dict) or facts.get("kind") != KIND:
        raise InputError("layout file", given=f"{place}, another kind of file", allowed=allowed)
    if facts.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            "layout file",
            given=f"{place} of schema version {facts.get('schema_version')}",
            allowed=f"version {SCHEMA_VERSION}",
            remedy=f"written by parlay {facts.get('versions', {}).get('parlay', '?')}; retrofit again, or use that one",
        )
    wrong = [name for name, is_right in CONTENT.items() if not is_right(facts.get(name))]
    if wrong:
        raise InputError(
            "layout file",
            given=f"{place} with {', '.join(wrong)} missing or changed",
            allowed=allowed,
            remedy="retrofit again: the file is not meant to be edited",
        )
    return facts


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(item) is kind for item in value)


CONTENT: dict[str, Callable[[Any], bool]] = {
    "spec": lambda v: isinstance(v, str),
    "model_kwargs": lambda v: isinstance(v, dict),
    "inputs": lambda v: (
        isinstance(v, list) and bool(v) and all(isinstance(shape, str) or _is_list(shape, int) for shape in v)
    ),
    "pins": lambda v: _is_list(v, str),
    "layout": lambda v: _is_list(v, int),
    "groups": lambda v: _is_list(v, dict) and all(isinstance(group.get("name"), str) for group in v),
    "hashes": lambda v: isinstance(v, dict) and {"model", "network", "weights"} <= set(v),
    "versions": lambda v: isinstance(v, dict),
}
"""Key of a layout file -> whether a value is of its kind."""


def _load_weights(network: nn.Module, path: Path) -> None:
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError("weights", given=str(path), allowed="a safetensors file", remedy=str(error)) from None
    wanted = unique_tensors(network)
    if set(state) != set(wanted) or any(
        (state[name].shape, state[name].dtype) != (wanted[name].shape, wanted[name].dtype) for name in wanted
    ):
        raise InputError(
            "weights", given=str(path), allowed="the weights of this layout", remedy="names, shapes or types differ"
        )
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(state[name])
