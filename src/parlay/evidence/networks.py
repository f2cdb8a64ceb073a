"""Scores of a network as built, before any training: grad-norm, SynFlow and NASWOT.

Each works on a copy, so that the network stays as it was: weights, running statistics, gradients, modes and hooks. All
run on the CPU, and are the same for the same network, batch and seed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parlay.errors import InputError
from parlay.extras import Needs

with Needs("scores of a built network", extra="train"):
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
    from torch.nn.modules.batchnorm import _BatchNorm
    from torch.nn.modules.conv import _ConvNd
    from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from parlay.data import Dataset
    from parlay.layout import Layout
    from parlay.network import Network

__all__ = [
    "BATCH_SIZE",
    "NETWORK_SCORES",
    "Batch",
    "batch_of",
    "classes_of",
    "grad_norm",
    "naswot",
    "network_score",
    "switching_kernel",
    "synflow",
    "warm_up",
]

BATCH_SIZE = 64
"""Images a score looks at where nothing else is said; what Abdelfattah et al. (2021) use."""

LAYERS = (_ConvNd, nn.Linear)
"""The layers whose weights count; biases and norms do not."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Images that a score looks at.

    Attributes:
        images: float32 (N, C, H, W), zero mean and unit deviation a channel.
        labels: int64 (N,).
        source: where they come from, in words.
    """

    images: Tensor
    labels: Tensor
    source: str


def batch_of(
    data: Dataset | None, *, image: tuple[int, int, int], classes: int, size: int = BATCH_SIZE, seed: int = 0
) -> Batch:
    """``size`` training images drawn from a seed; without data, standard normal noise and random labels.

    Args:
        data: a data set, or None.
        image: channels, height and width that the network reads.
        classes: outputs of the network.
        size: number of images.
        seed: draws the images.

    Raises:
        InputError: when the data have another shape, more classes, or fewer images.

    >>> batch = batch_of(None, image=(3, 8, 8), classes=10, size=4)
    >>> tuple(batch.images.shape), batch.source
    ((4, 3, 8, 8), 'noise')
    """
    generator = torch.Generator().manual_seed(seed)
    if data is None:
        images = torch.randn((size, *image), generator=generator)
        return Batch(images=images, labels=torch.randint(classes, (size,), generator=generator), source="noise")
    shape = tuple(data.train_images.shape[1:])
    if shape != image or data.classes > classes:
        raise InputError(
            f"data {data.name}",
            given=f"images of {'x'.join(map(str, shape))}, {data.classes} classes",
            allowed=f"images of {'x'.join(map(str, image))}, at most {classes} classes, as the network reads them",
            remedy="leave the data out for a batch of noise",
        )
    if size > len(data.train_images):
        raise InputError("batch size", given=size, allowed=f"at most the {len(data.train_images)} images of the data")
    chosen = torch.randperm(len(data.train_images), generator=generator)[:size]
    means, deviations = (moment[:, None, None] for moment in data.moments)
    return Batch(
        images=(data.train_images[chosen].float() - means) / deviations,
        labels=data.train_labels[chosen],
        source=data.name,
    )


def grad_norm(model: nn.Module, batch: Batch, *, seed: int = 0) -> float:
    """Sum over convolutions and linear layers of the Euclidean norm of the loss's gradient by their weights.

    Abdelfattah et al. (2021), as their code has it: one batch, cross-entropy averaged over it, batch norm in
    training mode.

    Args:
        model: from images (N, C, H, W) to logits (N, classes).
        batch: what it looks at.
        seed: of dropout, where the network has any.
    """
    net = copy.deepcopy(model).train()
    net.zero_grad()
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        functional.cross_entropy(_logits(net, batch.images), batch.labels).backward()
    gradients = [layer.weight.grad for layer in net.modules() if isinstance(layer, LAYERS)]
    return float(sum(float(gradient.norm()) for gradient in gradients if gradient is not None))


def synflow(model: nn.Module, image: tuple[int, int, int]) -> float:
    """Sum over convolution and linear weights of |w dR/dw|, R the sum of the outputs for an image of ones.

    Tanaka et al. (2020): all weights and biases are replaced by their absolute values, and a weight's score is what it
    carries of the flow R. Summed over the network by Abdelfattah et al. (2021), whose code leaves batch norms out of
    the network and counts in float64, since products over layers overflow; both are done here. Dropout is off.

    Args:
        model: from images (N, C, H, W) to logits (N, classes).
        image: channels, height and width of its input.

    Raises:
        InputError: when the product overflows even so.
    """
    net = _without_norms(copy.deepcopy(model)).eval().double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
    for parameter in net.parameters():
        parameter.requires_grad_(True)
    net.zero_grad()
    with torch.enable_grad():
        _logits(net, torch.ones((1, *image), dtype=torch.float64)).sum().backward()
    weights = [layer.weight for layer in net.modules() if isinstance(layer, LAYERS)]
    products = [w.detach() * w.grad for w in weights if w.grad is not None]
    total = sum(float(product.abs().sum()) for product in products)
    if not math.isfinite(total):
        raise InputError("SynFlow", given="a product beyond float64", allowed="networks of fewer or narrower layers")
    return total


def _without_norms(net: nn.Module) -> nn.Module:
    """The network with every batch norm passing on what it gets; the modules stay, since a forward may ask them."""
    for module in net.modules():
        if isinstance(module, _BatchNorm):
            module.forward = _unchanged
    return net


def _unchanged(input: Tensor) -> Tensor:
    return input


def naswot(model: nn.Module, batch: Batch, *, seed: int = 0) -> float:
    """ln |det K|, K_ij = the number of ReLUs that images i and j switch alike; -inf when two images switch all alike.

    Mellor et al. (2021): N_A minus the Hamming distance of the binary codes, over all ReLUs of the
    network, batch norm in training mode as in their code. ReLU, ReLU6 and leaky ReLU count, as modules or functions.

    Args:
        model: a network with ReLUs.
        batch: what it looks at; labels are not used.
        seed: of dropout, where the network has any.

    Raises:
        InputError: for a network without any.
    """
    kernel = switching_kernel(model, batch, seed=seed)
    sign, logarithm = torch.linalg.slogdet(kernel)
    return float(logarithm) if sign != 0 else float("-inf")


def switching_kernel(model: nn.Module, batch: Batch, *, seed: int = 0) -> Tensor:
    """The matrix K of NASWOT, float64 (N, N), symmetric."""
    net = copy.deepcopy(model).train()
    with _Switches(len(batch.images)) as switches, torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net(batch.images)
    if switches.count == 0:
        raise InputError("NASWOT", given="a network without ReLU", allowed="networks with ReLU, ReLU6 or leaky ReLU")
    return switches.kernel


class _Switches(TorchDispatchMode):
    """Adds up, over every ReLU of a forward pass, how many of its units each pair of images switches alike."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self.kernel = torch.zeros(images, images, dtype=torch.float64)
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__.rstrip("_")
        if name in ("relu", "leaky_relu") or (name == "hardtanh" and [*args[1:], -1.0][0] == 0):
            codes = (args[0] > 0).flatten(1).float()  # N, units; read before an in-place ReLU writes
            on = codes.sum(1, dtype=torch.float64)
            both = (codes @ codes.T).double()
            self.kernel += 2 * both + codes.shape[1] - on[:, None] - on[None, :]  # both on + both off
            self.count += 1
        return func(*args, **(kwargs or {}))


def _logits(net: nn.Module, images: Tensor) -> Tensor:
    logits = net(images)
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError("network", given=f"output {shape}", allowed="one tensor of logits, (images, classes)")
    return logits


def classes_of(model: nn.Module, image: tuple[int, int, int]) -> int:
    """Number of logits of a network; it stays as it was.

    >>> classes_of(nn.Sequential(nn.Flatten(), nn.Linear(12, 7)), (3, 2, 2))
    7
    """
    with torch.no_grad():
        return _logits(copy.deepcopy(model).eval(), torch.zeros(1, *image)).shape[1]


NETWORK_SCORES: dict[str, Callable[[nn.Module, Batch, int], float]] = {
    "grad-norm": lambda model, batch, seed: grad_norm(model, batch, seed=seed),
    "synflow": lambda model, batch, _: synflow(model, _shape(batch)),
    "naswot": lambda model, batch, seed: naswot(model, batch, seed=seed),
}
"""Name -> score of a network for a batch and a seed."""


def warm_up() -> None:
    """Let torch load what it loads at first use, so that seconds measured afterwards are the scores' own."""
    tiny = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten())
    for function in NETWORK_SCORES.values():
        function(tiny, batch_of(None, image=(1, 1, 1), classes=2, size=2), 0)


def _shape(batch: Batch) -> tuple[int, int, int]:
    channels, height, width = batch.images.shape[1:]
    return channels, height, width


def network_score(
    name: str,
    network: Network,
    layout: Layout,
    *,
    data: Dataset | None = None,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
) -> float:
    """A score of the built network, on a batch of the data or of noise; weights and batch are drawn from the seed.

    Raises:
        InputError: when the data do not fit the network, or the network does not fit the score.
    """
    assert network.input_shape is not None  # parlay.evidence.scores sees to it
    model, image = network.build(layout, seed=seed), network.input_shape
    batch = batch_of(data, image=image, classes=classes_of(model, image), size=batch_size, seed=seed)
    return NETWORK_SCORES[name](model, batch, seed)
