"""Models by name: ``torchvision/resnet18``, ``timm/mobilenetv3_small_100``, ``package.module:factory``,
``path/file.py:factory``.

Naming a module or a file runs its code, as importing it does.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import linecache
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

from parlay.errors import InputError, ParlayError, first_line, near_miss
from parlay.extras import Needs
from parlay.graph.programs import BATCH_SIZE, OTHERS, OWN_ERRORS, OWN_REMEDY, run_copied

with Needs("loading networks", extra="train"):
    import torch
    from torch import Tensor, nn

__all__ = [
    "input_shape",
    "is_tokens",
    "load_classifier",
    "load_model",
    "parse_inputs",
    "parse_kwargs",
    "placed",
    "takes",
]

ALLOWED = "torchvision/NAME, timm/NAME, package.module:factory or path/file.py:factory"
LARGEST_INPUT = 10**8
"""Values of one input: 400 MB in float32, thirty times an image of 1024 pixels a side."""
TOKENS = "tokens:"
CLASSES_REMEDY = "name the argument that sets them, such as --model-arg num_classes=10"
HEADS_REMEDY = "leave out its other heads, such as with --model-arg aux_logits=False"


def load_model(spec: str, kwargs: Mapping[str, Any] | None = None) -> nn.Module:
    """The untrained model that a name stands for, or the part of it whose path follows a ``#``.

    Args:
        spec: see the module's docstring.
        kwargs: keyword arguments of the model's factory.

    Raises:
        InputError: for a name that does not exist, with the nearest one, or a factory that raises.
        MissingExtraError: when timm is asked for and not installed.

    >>> sum(p.numel() for p in load_model("torchvision/squeezenet1_1").parameters())
    1235496
    """
    whole, part = _divided(spec)
    library, slash, name = whole.partition("/")
    if slash and library in LIBRARIES and ":" not in whole:
        factory = LIBRARIES[library](name)
    elif ":" in spec:
        factory = _factory(whole)
    else:
        near = get_close_matches(library, LIBRARIES, n=1)
        remedy = f"did you mean {near[0]}/{name}?" if slash and near else ""
        raise InputError("model", given=repr(spec), allowed=ALLOWED, remedy=remedy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = factory(**(kwargs or {}))
        except ParlayError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(
                f"factory of {spec}",
                given=_failure(error, whole),
                allowed="a call that returns a model",
                remedy="check the arguments given to it" if _own_line(error, whole) is None else OWN_REMEDY,
            ) from error
    if not isinstance(model, nn.Module):
        raise InputError(f"factory of {whole}", given=type(model).__name__, allowed="a torch.nn.Module")
    return _part(model, part, whole)


def _divided(spec: str) -> tuple[str, str]:
    """The name of a model, and the path of a part of it; a folder's name may hold a ``#``, a factory's cannot.

    >>> _divided("nets#2/net.py:make#backbone.body"), _divided("torchvision/resnet18")
    (('nets#2/net.py:make', 'backbone.body'), ('torchvision/resnet18', ''))
    """
    place, colon, name = spec.rpartition(":")
    name, _, part = name.partition("#")
    return f"{place}{colon}{name}", part


def _part(model: nn.Module, path: str, spec: str) -> nn.Module:
    parts = dict(model.named_modules())
    if path not in parts:
        raise InputError(
            f"part of {spec}",
            given=repr(path),
            allowed=f"the path of a module, such as {', '.join(list(parts)[1:4])}",
            remedy=near_miss(path, parts),
        )
    return parts[path]


def load_classifier(
    spec: str, kwargs: Mapping[str, Any], inputs: Sequence[Tensor], classes: int, *, seed: int = 0
) -> nn.Module:
    """``load_model`` with weights drawn from a seed, of a model that gives logits (images, classes) in both modes.

    torch's generator is left as it was.

    Raises:
        InputError: as ``load_model``, or for a model that does not run on such inputs or gives something else.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        model = load_model(spec, kwargs)
        several = [torch.cat([item] * BATCH_SIZE) for item in inputs]
        for training, images in ((False, inputs), (True, several)):
            mode = "training" if training else "evaluation"
            try:
                result = run_copied(model, images, training=training)
            except ParlayError:
                raise
            except Exception as error:
                shapes = " and ".join("x".join(map(str, item.shape[1:])) for item in inputs)
                raise InputError(
                    f"model {spec} on images {shapes} in {mode} mode",
                    given=_failure(error, _divided(spec)[0]),
                    allowed="a model that runs on such images",
                    remedy=OWN_REMEDY if isinstance(error, OWN_ERRORS) else "",
                ) from error
            found = "x".join(map(str, result.shape)) if isinstance(result, Tensor) else _several(result)
            if found != f"{len(images[0])}x{classes}":
                raise InputError(
                    f"outputs of {spec} in {mode} mode",
                    given=found,
                    allowed=f"{len(images[0])}x{classes} in one tensor, one number a class of the data",
                    remedy=CLASSES_REMEDY if isinstance(result, Tensor) else HEADS_REMEDY,
                )
    return model


def _several(result: Any) -> str:
    """What a model returned that is no tensor, in words.

    >>> _several((1, 2)), _several({"out": 1}), _several(None)
    ('tuple of 2', 'dict of 1', 'NoneType')
    """
    return type(result).__name__ + (f" of {len(result)}" if hasattr(result, "__len__") else "")


def placed(spec: str) -> str:
    """The name that finds the same model from any folder: a file's with its whole path, others as they are.

    >>> placed("torchvision/resnet18")
    'torchvision/resnet18'
    """
    place, colon, name = spec.rpartition(":")
    path = Path(place).expanduser()
    return f"{path.resolve()}:{name}" if colon and path.is_file() else spec


def takes(spec: str, argument: str) -> bool:
    """Whether a model's factory has an argument; torchvision's and timm's have what their models have in common.

    >>> takes("torchvision/resnet18", "num_classes")
    True
    """
    if ":" not in spec:
        return argument == "num_classes"
    try:
        return argument in inspect.signature(_factory(_divided(spec)[0])).parameters
    except (ValueError, TypeError):  # classes written in C have no signature
        return False


def _torchvision(name: str) -> Callable[..., Any]:
    from torchvision import models

    known = models.list_models()
    if name not in known:
        raise _unknown("torchvision model", name, known)
    builder = models.get_model_builder(name)
    named = inspect.signature(builder).parameters
    untrained = {key: None for key in ("weights", "weights_backbone") if key in named}  # nothing is downloaded
    return lambda **kwargs: builder(**{**untrained, **kwargs})


def _timm(name: str) -> Callable[..., Any]:
    with Needs("timm's models", extra="models"):
        import timm

    known = timm.list_models()
    if name.split(".")[0] not in known:
        raise _unknown("timm model", name, known)
    return lambda **kwargs: timm.create_model(name, pretrained=False, **kwargs)


LIBRARIES: dict[str, Callable[[str], Callable[..., Any]]] = {"torchvision": _torchvision, "timm": _timm}
"""Library -> how a name becomes a factory."""


def _unknown(what: str, name: str, known: Sequence[str]) -> InputError:
    near = get_close_matches(name, known, n=3)
    remedy = f"did you mean {' or '.join(near)}?" if near else ""
    return InputError(what, given=repr(name), allowed=f"one of {len(known)} names", remedy=remedy)


def _factory(spec: str) -> Callable[..., Any]:
    place, _, name = spec.rpartition(":")
    module = _module(spec, place)
    public = [key for key in dir(module) if not key.startswith("_")]
    value: Any = module
    for part in name.split("."):
        if not part or not hasattr(value, part):
            raise InputError(
                f"factory in {place}",
                given=repr(name),
                allowed="a name that the module defines",
                remedy=near_miss(name, public),
            )
        value = getattr(value, part)
    if isinstance(value, nn.Module):
        return lambda **_: value
    if not callable(value):
        raise InputError(
            f"factory in {place}", given=f"{name}, a {type(value).__name__}", allowed="a function or class"
        )
    return value


def _module(spec: str, place: str) -> ModuleType:
    path = Path(place).expanduser()
    is_file = place.endswith(".py") or path.is_file()
    if is_file and not path.is_file():
        raise InputError("model file", given=place, allowed="a Python file that exists")
    folder = str(path.resolve().parent if is_file else Path.cwd())
    if folder not in sys.path:  # for good, as Python does: a factory and forward may import when they run
        sys.path.insert(0, folder)
    try:
        if not is_file:
            return importlib.import_module(place)
        found = importlib.util.spec_from_file_location(path.stem, path)
        assert found is not None and found.loader is not None
        module = importlib.util.module_from_spec(found)
        sys.modules.setdefault(path.stem, module)  # pickling and dataclasses look their module up
        found.loader.exec_module(module)
        return module
    except (Exception, SystemExit) as error:
        inside = _own_line(error, spec) is not None
        raise InputError(
            f"model {spec}",
            given=_failure(error, spec),
            allowed="a file that Python can run" if inside else ALLOWED,
            remedy=OWN_REMEDY if inside else "",
        ) from error


def _own_line(error: BaseException, spec: str) -> str | None:
    """File, line and code of a model's own file in which an error arose; None where it arose elsewhere."""
    place = spec.rpartition(":")[0]
    folder = str(Path(place).expanduser().resolve().parent if Path(place).expanduser().is_file() else Path.cwd())
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith(folder):
        return f"{error.filename}:{error.lineno} {(error.text or '').strip()}"
    frames = [
        (frame.f_code.co_filename, number)
        for frame, number in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename.startswith(folder) and not OTHERS.search(frame.f_code.co_filename)
    ]
    if not frames:
        return None
    file, number = frames[-1]
    return f"{file}:{number} {linecache.getline(file, number).strip()}"


def _failure(error: BaseException, spec: str) -> str:
    """An error in a line, with the place in the model's own code where it arose there."""
    where = _own_line(error, spec)
    return first_line(error) + (f" at {where}" if where else "")


def parse_kwargs(items: Sequence[str]) -> dict[str, Any]:
    """``key=value`` pairs; a value is a Python literal where it is one, otherwise text.

    Raises:
        InputError: for an item without ``=`` or whose key is no name.

    >>> parse_kwargs(["num_classes=10", "act=relu", "widths=[8, 16]"])
    {'num_classes': 10, 'act': 'relu', 'widths': [8, 16]}
    """
    found: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key.isidentifier():
            raise InputError("model argument", given=repr(item), allowed="key=value, such as num_classes=10")
        try:
            found[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            found[key] = text
    return found


def parse_inputs(texts: Sequence[str], model: nn.Module | None = None) -> tuple[Tensor, ...]:
    """Example inputs of one image from shapes such as ``3x224x224``, without the batch.

    ``tokens:20`` are integers, all 0, as an embedding reads them.

    Args:
        texts: the shapes.
        model: others than integers are of the type of its weights, and on their device.

    Raises:
        InputError: unless every shape is positive integers joined by ``x``.

    >>> [(tuple(x.shape), x.dtype) for x in parse_inputs(["3x32x32", "tokens:10"])]
    [((1, 3, 32, 32), torch.float32), ((1, 10), torch.int64)]
    """
    weights = [p for p in model.parameters() if p.is_floating_point()] if model is not None else []
    like = weights[0] if weights else torch.zeros(1)
    return tuple(
        torch.zeros(1, *input_shape(text), dtype=torch.int64 if is_tokens(text) else like.dtype, device=like.device)
        for text in texts
    )


def is_tokens(text: str) -> bool:
    """Whether an input's text stands for integers."""
    return text.strip().lower().startswith(TOKENS)


def input_shape(text: str) -> list[int]:
    """The shape that an input's text stands for, without the batch.

    Raises:
        InputError: as ``parse_inputs``.

    >>> input_shape("3x32x32"), input_shape("tokens:20")
    ([3, 32, 32], [20])
    """
    parts = text.strip().lower().removeprefix(TOKENS).split("x")
    if not all(part.isascii() and part.isdigit() and int(part[:12]) > 0 for part in parts):
        raise InputError(
            "input",
            given=repr(text),
            allowed="positive sizes joined by x, such as 3x224x224, or tokens:20 for integers",
        )
    shape = [int(part) for part in parts]
    if prod(shape) > LARGEST_INPUT:
        raise InputError("input", given=text, allowed=f"at most {LARGEST_INPUT} values")
    return shape
