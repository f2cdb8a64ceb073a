"""Models by name: ``torchvision/resnet18``, ``timm/mobilenetv3_small_100``, ``package.module:factory``,
``path/file.py:factory``.

Naming a module or a file runs its code, as importing it does.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from parlay.errors import InputError, ParlayError
from parlay.extras import Needs

with Needs("loading networks", extra="train"):
    import torch
    from torch import Tensor, nn

__all__ = ["load_model", "load_seeded", "parse_inputs", "parse_kwargs", "placed", "takes"]

ALLOWED = "torchvision/NAME, timm/NAME, package.module:factory or path/file.py:factory"
LARGEST_INPUT = 10**8
"""Values of one input: 400 MB in float32, thirty times an image of 1024 pixels a side."""


def load_model(spec: str, kwargs: Mapping[str, Any] | None = None) -> nn.Module:
    """The untrained model that a name stands for.

    Args:
        spec: see the module's docstring.
        kwargs: keyword arguments of the model's factory.

    Raises:
        InputError: for a name that does not exist, with the nearest one, or a factory that raises.
        MissingExtraError: when timm is asked for and not installed.

    >>> sum(p.numel() for p in load_model("torchvision/squeezenet1_1").parameters())
    1235496
    """
    library, slash, name = spec.partition("/")
    if slash and library in LIBRARIES and ":" not in spec:
        factory = LIBRARIES[library](name)
    elif ":" in spec:
        factory = _factory(spec)
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
                given=f"{type(error).__name__}: {_first_line(error)}",
                allowed="a call that returns a model",
                remedy="check the arguments given to it",
            ) from error
    if not isinstance(model, nn.Module):
        raise InputError(f"factory of {spec}", given=type(model).__name__, allowed="a torch.nn.Module")
    return model


def load_seeded(
    spec: str, kwargs: Mapping[str, Any], inputs: Sequence[Tensor], *, seed: int = 0
) -> tuple[nn.Module, tuple[int, ...]]:
    """``load_model`` with weights drawn from a seed, and the shape of its output; () unless that is one tensor.

    torch's generator is left as it was.

    Raises:
        InputError: as ``load_model``, or when the model does not run on such inputs.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        model = load_model(spec, kwargs)
        mode = model.training
        try:
            with torch.inference_mode():
                result = model.eval()(*inputs)
        except Exception as error:
            shapes = " and ".join("x".join(map(str, item.shape[1:])) for item in inputs)
            raise InputError(
                f"model {spec} on images {shapes}",
                given=f"{type(error).__name__}: {_first_line(error)}",
                allowed="a model that runs on such images",
            ) from error
        model.train(mode)
    return model, tuple(result.shape) if isinstance(result, Tensor) else ()


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
        return argument in inspect.signature(_factory(spec)).parameters
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
            near = get_close_matches(name, public, n=1)
            raise InputError(
                f"factory in {place}",
                given=repr(name),
                allowed="a name that the module defines",
                remedy=f"did you mean {near[0]}?" if near else "",
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
    with _importable(str(path.resolve().parent if is_file else Path.cwd())):
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
            raise InputError(
                f"model {spec}", given=f"{type(error).__name__}: {_first_line(error)}", allowed=ALLOWED
            ) from error


@contextmanager
def _importable(folder: str) -> Iterator[None]:
    """What lies in a folder can be imported for a while."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]


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


def parse_inputs(texts: Sequence[str]) -> tuple[Tensor, ...]:
    """Example inputs of one image from shapes such as ``3x224x224``, without the batch.

    Raises:
        InputError: unless every shape is positive integers joined by ``x``.

    >>> [tuple(x.shape) for x in parse_inputs(["3x32x32", "10"])]
    [(1, 3, 32, 32), (1, 10)]
    """
    tensors: list[Tensor] = []
    for text in texts:
        parts = text.strip().lower().split("x")
        if not all(part.isascii() and part.isdigit() and int(part[:12]) > 0 for part in parts):
            raise InputError("input", given=repr(text), allowed="positive sizes joined by x, such as 3x224x224")
        shape = [int(part) for part in parts]
        size = 1
        for side in shape:
            size *= side
        if size > LARGEST_INPUT:
            raise InputError("input", given=text, allowed=f"at most {LARGEST_INPUT} values")
        tensors.append(torch.zeros(1, *shape))
    return tuple(tensors)
