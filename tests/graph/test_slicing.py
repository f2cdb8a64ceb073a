"""Slicing a trained network: the sliced one is the original with the dropped channels silenced."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from graph_checks import Net, kept, silenced  # noqa: E402
from parlay.errors import InputError  # noqa: E402
from parlay.graph import WidthGraph, trace  # noqa: E402
from parlay.graph.slicing import Kept, largest, norms, units_of  # noqa: E402
from parlay.graph.specs import load_model, parse_inputs  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CLOSE = 1e-9
"""Of the largest output: sums in another order differ by some 1e-15."""

FORTY = """
examples/mlperf_tiny.py:resnet8 examples/mlperf_tiny.py:ds_cnn examples/mlperf_tiny.py:mobilenet_v1
examples/mlperf_tiny.py:deep_autoencoder torchvision/alexnet torchvision/vgg11_bn torchvision/resnet18
torchvision/resnext50_32x4d torchvision/squeezenet1_1 torchvision/densenet121 torchvision/mobilenet_v2
torchvision/mobilenet_v3_small torchvision/mnasnet0_5 torchvision/shufflenet_v2_x0_5 torchvision/efficientnet_b0
torchvision/regnet_x_400mf torchvision/regnet_y_400mf torchvision/googlenet timm/resnet26d timm/seresnet18
timm/legacy_seresnet18 timm/ecaresnet26t timm/skresnet18 timm/resnest14d timm/res2net50_26w_4s timm/tresnet_m timm/dla34
timm/dpn48b timm/hrnet_w18_small timm/vovnet39a timm/ese_vovnet19b_dw timm/selecsls42 timm/cspresnet50 timm/darknet17
timm/repvgg_a0 timm/mobileone_s0 timm/mobilenetv4_conv_small timm/semnasnet_075 timm/ghostnet_050 timm/rexnet_100
timm/xception41 timm/inception_v4 timm/repvit_m0_9 timm/fasternet_t0 timm/starnet_s1
""".split()
"""Networks of the zoo of every make, without norms across channels: of activations, or of weights as nf_resnet has."""

FEW = ("examples/mlperf_tiny.py:resnet8", "torchvision/mobilenet_v3_small", "torchvision/shufflenet_v2_x0_5")


def unlike(model: nn.Module) -> nn.Module:
    """The model in double precision and evaluation mode, with norms that are not those of a new one."""
    torch.manual_seed(0)
    for part in model.modules():
        if isinstance(part, nn.modules.batchnorm._NormBase) and part.running_mean is not None:
            nn.init.normal_(part.running_mean, std=0.2)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            if part.weight is not None:
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, std=0.2)
    return model.double().eval()


def drawn(graph: WidthGraph, seed: int = 0) -> Kept:
    """Of every group half its units at the least and one too few at the most, drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    kept: list[tuple[int, ...]] = []
    for count in units_of(graph, graph.layout):
        some = int(torch.randint(-(-count // 2), max(count, 2), (), generator=generator))
        kept.append(tuple(torch.randperm(count, generator=generator)[:some].sort().values.tolist()))
    return tuple(kept)


def assert_sliced(model: nn.Module, *inputs: Tensor) -> WidthGraph:
    """Sliced equals silenced; and silencing does something."""
    graph = trace(unlike(model), [item.double() if item.is_floating_point() else item for item in inputs])
    torch.manual_seed(1)
    batch = [torch.randn(2, *item.shape[1:]).double() if item.is_floating_point() else item for item in inputs]
    units = drawn(graph)
    with torch.no_grad():
        sliced = graph.build(keep=units).eval()(*batch)
        quiet = silenced(graph, units).eval()(*batch)
        whole = graph.model(*batch)
    assert float((sliced - quiet).abs().max()) <= CLOSE * float(quiet.abs().max())
    assert float((whole - quiet).abs().max()) > 1e-6 * float(whole.abs().max())
    return graph


def conv(i: int, o: int, **more: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1, **more), nn.BatchNorm2d(o), nn.ReLU())


def head(i: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(i, 5))


def gated(net: Net, x: Tensor) -> Tensor:
    x = net.stem(x)
    a, b = net.wide(x).chunk(2, 1)
    x = a * b.sigmoid()
    return net.head(x * net.up(net.down(x.mean((2, 3)))).sigmoid()[:, :, None, None])


def tied(net: Net, x: Tensor) -> Tensor:
    x = net.stem(x)
    x = x + F.relu(net.block(x))
    return net.head(x + F.conv2d(x, net.block.weight, padding=1))


def shuffled(net: Net, x: Tensor) -> Tensor:
    x = net.stem(x)
    x = net.grouped(F.channel_shuffle(x, 4))
    return net.head(net.last(F.channel_shuffle(x, 2)))


KINDS: dict[str, Callable[[], nn.Module]] = {
    "a residual sum": lambda: Net(
        lambda net, x: net.head(F.relu(net.block(y := net.stem(x)) + net.side(y)) + y),
        stem=conv(3, 8),
        block=nn.Sequential(conv(8, 6), nn.Conv2d(6, 8, 1), nn.BatchNorm2d(8)),
        side=nn.Conv2d(8, 8, 1),
        head=head(8),
    ),
    "a concatenation": lambda: Net(
        lambda net, x: net.head(net.joint(torch.cat([net.a(x), x, net.b(x)], 1))),
        a=conv(3, 6),
        b=conv(3, 10),
        joint=conv(19, 8),
        head=head(8),
    ),
    "grouped convolutions": lambda: Net(
        shuffled, stem=conv(3, 32), grouped=conv(32, 24, groups=4), last=nn.Conv2d(24, 6, 1), head=head(6)
    ),
    "depthwise convolutions with a multiplier": lambda: nn.Sequential(
        conv(3, 8), conv(8, 16, groups=8), nn.PReLU(16), conv(16, 6), head(6)
    ),
    "gates": lambda: Net(
        gated, stem=conv(3, 8), wide=conv(8, 24), down=nn.Linear(12, 4), up=nn.Linear(4, 12), head=head(12)
    ),
    "transposed convolutions": lambda: nn.Sequential(
        conv(3, 8),
        nn.ConvTranspose2d(8, 12, 2, 2),
        nn.BatchNorm2d(12),
        nn.ConvTranspose2d(12, 8, 2, 2, groups=4),
        nn.ConvTranspose2d(8, 8, 2, 2, groups=8),
        head(8),
    ),
    "a flattened map": lambda: nn.Sequential(
        conv(3, 8), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 12), nn.ReLU(), nn.Linear(12, 5)
    ),
    "tied weights": lambda: Net(tied, stem=conv(3, 8), block=nn.Conv2d(8, 8, 3, padding=1, bias=False), head=head(8)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_sliced_network_is_the_original_with_dropped_channels_silenced(kind: str) -> None:
    """In double precision, whatever couples the channels."""
    assert_sliced(KINDS[kind](), torch.zeros(1, 3, 8, 8))


def zoo_network(name: str) -> tuple[nn.Module, Tensor]:
    """A network of the zoo with random weights, and one image."""
    shapes = {entry.name: entry for entry in importlib.import_module("benchmarks.zoo_models").entries()}
    entry = shapes[name]
    torch.manual_seed(0)
    model = load_model(entry.spec, entry.kwargs)
    shape = entry.shape or "x".join(map(str, model.default_cfg["input_size"]))
    return model, parse_inputs([shape])[0]


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in FORTY])
def test_networks_of_the_zoo_are_sliced_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for networks as people use them."""
    monkeypatch.syspath_prepend(str(ROOT))
    pytest.importorskip(name.partition("/")[0] if "/" in name and "examples" not in name else "torch")
    model, image = zoo_network(name)
    assert_sliced(model, image)


def test_norms_across_channels_are_those_of_a_network_sliced_by_hand() -> None:
    """Layer norm and group norm compute with what is kept: no silencing shows that, a network built by hand does."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.GroupNorm(2, 8),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3),
        nn.Flatten(),
        nn.Linear(216, 12),
        nn.LayerNorm(12),
        nn.GELU(),
        nn.Linear(12, 5),
    ).double()
    with torch.no_grad():
        for part in model:
            for parameter in part.parameters():
                parameter.normal_()
    graph = trace(model, torch.zeros(1, 3, 8, 8).double())
    assert [group.name for group in graph.space.groups] == ["0", "3", "5"]
    first, third, fifth = (0, 2), (1, 3, 4), (0, 4, 5, 9, 11)  # a unit of the first is a channel of each norm group
    sliced = graph.build(keep=[first, third, fifth])
    a, b, c = [0, 2, 4, 6], list(third), list(fifth)
    x = torch.randn(2, 3, 8, 8).double()
    parts = [dict(part.named_parameters()) for part in model]
    y = F.conv2d(x, parts[0]["weight"][a], parts[0]["bias"][a], padding=1)
    y = F.relu(F.group_norm(y, 2, parts[1]["weight"][a], parts[1]["bias"][a]))
    y = F.conv2d(y, parts[3]["weight"][b][:, a], parts[3]["bias"][b]).flatten(1)
    flat = [36 * channel + pixel for channel in b for pixel in range(36)]
    y = F.linear(y, parts[5]["weight"][c][:, flat], parts[5]["bias"][c])
    y = F.gelu(F.layer_norm(y, (5,), parts[6]["weight"][c], parts[6]["bias"][c]))
    y = F.linear(y, parts[8]["weight"][:, c], parts[8]["bias"])
    assert torch.allclose(sliced(x), y, rtol=0, atol=CLOSE)


def test_what_is_kept_must_be_there() -> None:
    """Groups, units and their number are checked; a wider layout takes all of today's."""
    graph = trace(nn.Sequential(conv(3, 4), conv(4, 6), head(6)), torch.zeros(1, 3, 8, 8))
    for wrong, said in (
        ([(0, 1)], "1 groups; allowed: the 2 groups"),
        ([(0, 4), (0,)], "from 0 to 4; allowed: different ones of 0 to 3"),
        ([(1, 0), (0,)], "ascending"),
        ([(), (0,)], "at least one"),
    ):
        with pytest.raises(InputError, match=said):
            graph.build(keep=wrong)
    with pytest.raises(InputError, match="2: as many as the layout has"):
        graph.build((2, 6), keep=[(0, 1, 2), range(6)])
    with pytest.raises(InputError, match="4: as many as the layout has, or all"):
        graph.build((8, 6), keep=[(0, 1, 2), range(6)])
    with pytest.raises(InputError, match="layout"):
        graph.build()
    grown = graph.build((8, 3), keep=[range(4), (1, 2, 5)])
    assert torch.equal(grown[1][0].weight[:, :4], graph.model[1][0].weight[[1, 2, 5]])  # type: ignore[index]
    with pytest.raises(InputError, match="shape \\(3,\\); allowed: 4 finite numbers"):
        largest(graph, [torch.zeros(3), torch.zeros(6)], (2, 2))
    assert largest(graph, [torch.zeros(4), [3, 1, 2, 5, 4, 0]], (2, 3)) == ((0, 1), (0, 3, 4))
    assert torch.equal(
        kept(graph, (2, 2))[0][0].weight, graph.build(keep=largest(graph, norms(graph), (2, 2)))[0][0].weight
    )
