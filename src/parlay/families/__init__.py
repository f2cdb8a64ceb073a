"""The paper's two families of networks: their width spaces and their resources in closed form.

A family fixes everything but the widths: depth, kernel sizes, input, classes. ``plain(depth)`` is Figure 2,
``resnet(depth)`` Table 3 of Liao et al. (2017). ``parlay.nets`` has the modules that are built; tests pin the two
together, by counting and by tracing.
"""

from __future__ import annotations

from collections.abc import Callable

from parlay.errors import unknown
from parlay.families.family import Convolution, Family
from parlay.families.plain import PlainFamily, plain
from parlay.families.resnet import ResNetFamily, resnet

__all__ = ["FAMILIES", "Convolution", "Family", "PlainFamily", "ResNetFamily", "get_family", "plain", "resnet"]

FAMILIES: dict[str, Callable[..., Family]] = {"plain": plain, "resnet": resnet}
"""Every family by name."""


def get_family(name: str) -> Callable[..., Family]:
    """The factory of that family.

    Raises:
        InputError: when there is none, with the nearest name.
    """
    if name not in FAMILIES:
        raise unknown("family", name, FAMILIES)
    return FAMILIES[name]
