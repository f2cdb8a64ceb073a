"""The errors a user can meet.

::

    ParlayError
    ├── InputError         something given is not allowed (also a ValueError)
    ├── MissingExtraError  an optional package is not installed (also an ImportError)
    ├── StudyError         a study's folder cannot be used as asked
    ├── WorkerLostError    the process or node that ran a trial ended, again and again
    ├── DivergedError      the loss of a training stopped being a finite number
    ├── StoppedError       a training was asked to stop, and kept what it had
    ├── TraceError         a model holds something the tracer does not understand
    └── CertificateError   a result failed its independent recount

Every message is one line: what was given, what is allowed, and the remedy. The command line prints it as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

__all__ = [
    "CertificateError",
    "DivergedError",
    "InputError",
    "MissingExtraError",
    "ParlayError",
    "StoppedError",
    "StudyError",
    "TraceError",
    "WorkerLostError",
    "first_line",
    "near_miss",
    "unknown",
]


MOST_SAID = 300
"""Characters of another program's message: more than one line of it says something, whole pages do not."""


class ParlayError(Exception):
    """Base class of every error parlay raises on purpose."""


class InputError(ParlayError, ValueError):
    """Something given is not allowed.

    >>> raise InputError("depth", given=0, allowed="an integer of at least 1", remedy="try --depth 4")
    Traceback (most recent call last):
    ...
    parlay.errors.InputError: depth: got 0; allowed: an integer of at least 1; try --depth 4
    """

    def __init__(self, what: str, *, given: object = None, allowed: str = "", remedy: str = "") -> None:
        parts = [what if given is None else f"{what}: got {given}"]
        if allowed:
            parts.append(f"allowed: {allowed}")
        if remedy:
            parts.append(remedy)
        super().__init__("; ".join(part.replace("\n", " ") for part in parts))


def first_line(error: BaseException) -> str:
    r"""What any error says, in one line without a terminal's colours: its kind and the first line of its message.

    >>> first_line(ValueError("\x1b[31mno kernel\x1b[0m\nat line 3")), first_line(KeyError())
    ('ValueError: no kernel', 'KeyError')
    """
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return ": ".join([type(error).__name__, *(line.strip()[:MOST_SAID] for line in lines[:1])])


def near_miss(name: object, names: Iterable[str], otherwise: str = "") -> str:
    """A remedy for a name that is none: the one it is like, or else another remedy.

    >>> near_miss("resent", ["plain", "resnet"]), near_miss("vgg", ["plain", "resnet"], "see 'parlay describe --help'")
    ('did you mean resnet?', "see 'parlay describe --help'")
    """
    found = get_close_matches(str(name), list(names), n=1)
    return f"did you mean {found[0]}?" if found else otherwise


def unknown(what: str, name: object, names: Iterable[str], otherwise: str = "") -> InputError:
    """The error for a name that is none of several.

    >>> raise unknown("dtype", "int9", ["int8", "float16"])
    Traceback (most recent call last):
    ...
    parlay.errors.InputError: dtype: got 'int9'; allowed: int8, float16; did you mean int8?
    """
    allowed = list(names)
    return InputError(what, given=repr(name), allowed=", ".join(allowed), remedy=near_miss(name, allowed, otherwise))


class MissingExtraError(ParlayError, ImportError):
    """An optional package is not installed.

    >>> raise MissingExtraError("training", package="torch", extra="train")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    parlay.errors.MissingExtraError: training needs torch, which is not installed; pip install '.[train]' ...
    """

    def __init__(self, purpose: str, *, package: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed; pip install '.[{extra}]' in parlay's checkout"
        )


class StudyError(ParlayError):
    """A study's folder cannot be used as asked."""


class WorkerLostError(ParlayError):
    """The process or the node that ran a trial ended without a result, more often than is put up with."""


class DivergedError(ParlayError):
    """The loss of a training run stopped being a finite number."""


class StoppedError(ParlayError):
    """A training was asked to stop, and kept what it had."""


class TraceError(ParlayError):
    """A model holds something the tracer does not understand; the message says what, where, and what helps.

    >>> raise TraceError("operator fft_fft2", line="net.py:12 fft2(x)", found="there is no rule for it", pins=["stem"])
    Traceback (most recent call last):
    ...
    parlay.errors.TraceError: operator fft_fft2 at net.py:12 fft2(x): there is no rule for it;
    keep the widths it touches with --pin 'stem', or add a rule with parlay.graph.add_rule

    Attributes:
        module: path of the module in whose forward it was found.
        pins: names of the layers whose pinning helps, where they are known.
        is_final: whether another reading of the model's graph cannot help.
    """

    def __init__(
        self,
        what: str,
        *,
        module: str = "",
        line: str = "",
        found: str = "",
        remedy: str = "",
        pins: Sequence[str] = (),
        is_final: bool = False,
    ) -> None:
        where = f" in module {module}" if module else ""
        at = f" at {line}" if line else ""
        patterns = [*pins] or [module or "*"]
        shown = " ".join(f"--pin '{pattern}'" for pattern in patterns)
        rule = ", or add a rule with parlay.graph.add_rule" if what.startswith("operator ") else ""
        advice = f"keep the widths it touches with {shown}{rule}"
        super().__init__(" ".join(f"{what}{where}{at}: {found}; {remedy or advice}".split()))
        self._place = (what, module, line, found)
        self.module = module
        self.pins = tuple(pins)
        self.is_final = is_final

    def with_pins(self, pins: Sequence[str]) -> TraceError:
        """The same refusal with pins that are known to help."""
        what, module, line, found = self._place
        return TraceError(what, module=module, line=line, found=found, pins=pins, is_final=self.is_final)


class CertificateError(ParlayError):
    """A result failed its independent recount; its message lists every finding."""
