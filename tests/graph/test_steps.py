"""Activation steps: which outputs meet a nonlinearity, where they come from, and what linear layers carry them."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.nn import functional

from parlay.families import plain, resnet
from parlay.graph import trace
from parlay.graph.paths import Flow, LayerWidths, Width, activation_steps, path_shares

HALF = Fraction(1, 2)


def conv(inputs, outputs, *, kernel=1, groups=1):
    """A convolution that keeps the pixels, with its norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)
    )


class Network(nn.Module):
    """Stem, body, pool, classifier; children are named after what they write."""

    def __init__(self, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.fc(self.body(x).mean((2, 3)))


def steps_of(model, shape=(1, 3, 8, 8)):
    """(source, carriers, target) -> share of a traced model; groups by the first part of their name, or a number."""
    graph = trace(model, torch.zeros(shape), check=False)
    names = [group.name.split(".")[0] for group in graph.space.groups]
    found = {}
    for step in graph.space.steps:
        source = step.fixed_inputs if step.source is None else names[step.source]
        target = step.fixed_outputs if step.target is None else names[step.target]
        found[source, tuple(names[c] for c in step.carriers), target] = step.share
    used = {g for step in graph.space.steps for g in step.groups}
    assert used == set(range(len(graph.space))), "every width has a part in a step"
    return found


class Plain(Network):
    def body(self, x):
        x = functional.max_pool2d(functional.relu(self.a(x)), 2)
        return functional.relu(self.b(x))


def test_a_plain_network_steps_from_layer_to_layer():
    """Convolution, norm, ReLU, pooling: every convolution is a step from the one before; the classifier is none."""
    assert steps_of(Plain(a=conv(3, 5), b=conv(5, 6), fc=nn.Linear(6, 10))) == {
        (3, (), "a"): 1,
        ("a", (), "b"): 1,
    }


ACTIVATIONS = {
    "relu6": functional.relu6,
    "hard-swish": functional.hardswish,
    "hard-swish by hand": lambda x: x * functional.relu6(x + 3) / 6,
    "silu": functional.silu,
    "silu by hand": lambda x: x * torch.sigmoid(x),
    "gelu": functional.gelu,
    "gelu by hand": lambda x: 0.5 * x * (1 + torch.erf(x / 2**0.5)),
    "leaky relu": lambda x: functional.leaky_relu(x, 0.1),
    "prelu": nn.PReLU(),
    "prelu of a number a channel": nn.PReLU(5),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "clamp": lambda x: x.clamp(min=0),
    "maximum": lambda x: torch.maximum(x, torch.zeros(())),
    "where": lambda x: torch.where(x > 0, x, 0.1 * x),
    "square": lambda x: x * x,
}
TRANSPARENT = {
    "nothing": lambda x: x,
    "max pooling": lambda x: functional.max_pool2d(x, 2),
    "norm": nn.GroupNorm(1, 5),
    "norm by hand": lambda x: (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-5).sqrt(),
    "rms norm by hand": lambda x: x * torch.rsqrt((x * x).mean(1, keepdim=True) + 1e-5),
    "dropout": nn.Dropout(0.1),
    "a number": lambda x: 0.5 * x + 1,
    "resizing": lambda x: functional.interpolate(x, scale_factor=2),
}


class Between(Network):
    between: object

    def body(self, x):
        return functional.relu(self.b(self.between(self.a(x))))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_end_a_step(name):
    """Whatever is no affine function makes two steps of two layers, as an operator or written out."""
    model = Between(a=conv(3, 5), b=conv(5, 6), fc=nn.Linear(6, 10))
    model.between = ACTIVATIONS[name]
    assert steps_of(model) == {(3, (), "a"): 1, ("a", (), "b"): 1}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_linear_operators_end_none(name):
    """Without an activation between them two layers are one step, which the first one's channels carry."""
    model = Between(a=conv(3, 5), b=conv(5, 6), fc=nn.Linear(6, 10))
    model.between = TRANSPARENT[name]
    assert steps_of(model) == {(3, ("a",), "b"): 1}


class Basic(Network):
    def body(self, x):
        x = functional.relu(self.stem(x))
        x = functional.relu(x + self.second(functional.relu(self.first(x))))
        return functional.relu(self.fourth(functional.relu(self.third(x))) + self.short(x))


def test_residual_blocks_with_activations_behind_their_sums():
    """The second convolution of a block, and its shortcut's, meet the ReLU behind the sum; half of the paths each."""
    model = Basic(
        stem=conv(3, 5),
        first=conv(5, 4),
        second=conv(4, 5),
        third=conv(5, 6),
        fourth=conv(6, 7),
        short=conv(5, 7),
        fc=nn.Linear(7, 10),
    )
    assert steps_of(model) == {
        (3, (), "stem"): 1,
        ("stem", (), "first"): HALF,
        ("first", (), "stem"): HALF,
        ("stem", (), "third"): HALF,
        ("third", (), "fourth"): HALF,
        ("stem", (), "fourth"): HALF,
    }


class PreActivation(Network):
    def body(self, x):
        x = self.stem(x)
        x = x + self.second(functional.relu(self.first(functional.relu(x))))
        x = x + self.fourth(functional.relu(self.third(functional.relu(x))))
        return functional.relu(x)


def test_preactivation_blocks():
    """The nonlinearity stands before the convolution: the stream is one of activations wherever it is read."""
    model = PreActivation(
        stem=conv(3, 5), first=conv(5, 4), second=conv(4, 5), third=conv(5, 6), fourth=conv(6, 5), fc=nn.Linear(5, 10)
    )
    assert steps_of(model) == {
        (3, (), "stem"): 1,
        ("stem", (), "first"): HALF,
        ("first", (), "stem"): HALF,
        ("stem", (), "third"): HALF,
        ("third", (), "stem"): HALF,
    }


class Inverted(Network):
    def body(self, x):
        x = functional.relu6(self.stem(x))
        x = self.narrow(functional.relu6(self.dw0(x)))
        for n in "12":
            y = functional.relu6(getattr(self, f"wide{n}")(x))
            x = x + getattr(self, f"back{n}")(functional.relu6(getattr(self, f"dw{n}")(y)))
        return functional.relu6(self.last(x))


def test_inverted_residuals_with_linear_bottlenecks():
    """From one hidden width to the next, through the stream, past the shortcut; depthwise layers step on the spot."""
    model = Inverted(
        stem=conv(3, 5),
        dw0=conv(5, 5, kernel=3, groups=5),
        narrow=conv(5, 4),
        wide1=conv(4, 12),
        dw1=conv(12, 12, kernel=3, groups=12),
        back1=conv(12, 4),
        wide2=conv(4, 14),
        dw2=conv(14, 14, kernel=3, groups=14),
        back2=conv(14, 4),
        last=conv(4, 9),
        fc=nn.Linear(9, 10),
    )
    assert steps_of(model) == {
        (3, (), "stem"): 1,
        ("stem", (), "stem"): 1,
        ("stem", ("narrow",), "wide1"): HALF,
        ("wide1", (), "wide1"): HALF,
        ("wide1", ("narrow",), "wide2"): HALF,
        ("wide2", (), "wide2"): HALF,
        ("wide2", ("narrow",), "last"): 1,
    }


class Squeezed(Network):
    def body(self, x):
        x = functional.relu(self.stem(x))
        x = x * torch.sigmoid(self.up(functional.relu(self.down(x.mean((2, 3), keepdim=True)))))
        return functional.relu(self.last(x))


def test_gates_count_as_what_they_scale():
    """Squeeze and excitation: both layers of the gate are steps; the product is an activation with no layer of its
    own."""
    model = Squeezed(
        stem=conv(3, 6), down=nn.Conv2d(6, 2, 1), up=nn.Conv2d(2, 6, 1), last=conv(6, 7), fc=nn.Linear(7, 10)
    )
    assert steps_of(model) == {
        (3, (), "stem"): 1,
        ("stem", (), "down"): 1,
        ("down", (), "stem"): 1,
        ("stem", (), "last"): 1,
    }


class Gated(Network):
    def body(self, x):
        x = functional.relu(self.stem(x))
        return functional.relu(self.last(self.left(x) * self.right(x)))


def test_a_product_of_two_layers_is_a_nonlinearity():
    """Both layers whose outputs are multiplied end a step."""
    model = Gated(stem=conv(3, 6), left=conv(6, 5), right=conv(6, 5), last=conv(5, 7), fc=nn.Linear(7, 10))
    assert steps_of(model) == {(3, (), "stem"): 1, ("stem", (), "left"): 2, ("left", (), "last"): 1}


class ConvNeXt(Network):
    def body(self, x):
        x = self.stem(x)
        x = x + self.scale * self.back1(functional.gelu(self.wide1(self.dw1(x))))
        x = self.lower(x)
        return x + self.back2(functional.gelu(self.wide2(self.dw2(x))))


def test_convnext_blocks():
    """A depthwise layer ends a step without an activation, since its kernels see several pixels; 1 x 1 layers carry."""
    model = ConvNeXt(
        stem=conv(3, 4),
        dw1=conv(4, 4, kernel=7, groups=4),
        wide1=conv(4, 16),
        back1=conv(16, 4),
        lower=conv(4, 6),
        dw2=conv(6, 6, kernel=7, groups=6),
        wide2=conv(6, 24),
        back2=conv(24, 6),
        fc=nn.Linear(6, 10),
    )
    model.scale = nn.Parameter(torch.full((4, 1, 1), 1e-6))
    assert steps_of(model) == {
        (3, (), "stem"): HALF,  # stem and depthwise layer, one layer with the latter's kernels
        ("stem", (), "wide1"): HALF,
        ("wide1", ("stem",), "lower"): HALF,
        ("lower", (), "wide2"): HALF,
    }


def test_linear_layers_of_several_pixels_end_a_step():
    """A patchified stem and a lowering of 2 x 2 make symbols, so that nothing carries where all else is depthwise."""
    model = ConvNeXt(
        stem=nn.Conv2d(3, 4, 2, 2),
        dw1=conv(4, 4, kernel=7, groups=4),
        wide1=conv(4, 16),
        back1=conv(16, 4),
        lower=nn.Conv2d(4, 6, 2, 2),
        dw2=conv(6, 6, kernel=7, groups=6),
        wide2=conv(6, 24),
        back2=conv(24, 6),
        fc=nn.Linear(6, 10),
    )
    model.scale = nn.Parameter(torch.full((4, 1, 1), 1e-6))
    assert steps_of(model) == {
        (3, (), "stem"): 1,
        ("stem", (), "stem"): HALF,
        ("stem", (), "wide1"): HALF,
        ("wide1", ("stem",), "lower"): 1,
        ("lower", (), "lower"): HALF,
        ("lower", (), "wide2"): HALF,
    }


class Joined(Network):
    def body(self, x):
        x = functional.relu(self.stem(x))
        x = functional.relu(self.join(torch.cat([functional.relu(self.left(x)), functional.relu(self.right(x))], 1)))
        return functional.relu(self.last(torch.cat([self.one(x), functional.relu(self.two(x))], 1)))


def test_concatenation():
    """A layer that reads several widths joined begins at no single one; the linear ones among them carry it."""
    model = Joined(
        stem=conv(3, 4),
        left=conv(4, 5),
        right=conv(4, 6),
        join=conv(11, 7),
        one=conv(7, 8),
        two=conv(7, 9),
        last=conv(17, 12),
        fc=nn.Linear(12, 10),
    )
    assert steps_of(model) == {
        (3, (), "stem"): 1,
        ("stem", (), "left"): HALF,
        ("stem", (), "right"): HALF,
        (0, (), "join"): 1,
        ("join", (), "two"): HALF,
        (0, ("one",), "last"): 1,
    }


class Sandglass(Network):
    def body(self, x):
        x = self.narrow(functional.relu(self.stem(x)))
        return functional.relu(self.last(self.back(functional.relu(self.dw(x)))))


def test_a_depthwise_layer_behind_a_linear_one_is_part_of_its_step():
    """Both are one layer, with the width of the one and the kernels of the other."""
    model = Sandglass(
        stem=conv(3, 9),
        narrow=conv(9, 4),
        dw=conv(4, 4, kernel=3, groups=4),
        back=conv(4, 6),
        last=conv(6, 8),
        fc=nn.Linear(8, 10),
    )
    assert steps_of(model) == {
        (3, (), "stem"): 1,
        ("stem", (), "narrow"): 1,
        ("narrow", ("back",), "last"): 1,
    }


class NoActivation(Network):
    def body(self, x):
        x = self.stem(x)
        return x + self.second(self.first(x))


def test_without_any_activation_every_layer_is_a_step():
    """A network of norms alone has nothing to tell layers apart by: each counts, as in the path energy."""
    model = NoActivation(stem=conv(3, 5), first=conv(5, 7), second=conv(7, 5), fc=nn.Linear(5, 10))
    expected = {(3, (), "stem"): 1, ("stem", (), "first"): HALF, ("first", (), "stem"): HALF}
    assert steps_of(model) == expected


class LinearNeck(Network):
    def body(self, x):
        return self.neck(functional.relu(self.stem(x)))


def test_what_the_output_layer_alone_reads():
    """A linear width before the classifier gets a step into it; the classifier counts in no other case."""
    model = LinearNeck(stem=conv(3, 5), neck=conv(5, 6), fc=nn.Linear(6, 10))
    assert steps_of(model) == {(3, (), "stem"): 1, ("stem", ("neck",), 10): 1}
    ended = nn.Sequential(model, nn.Softmax(1))
    assert len(trace(ended, torch.zeros(1, 3, 8, 8), check=False).space.steps) == 2, (
        "a function behind it changes nothing"
    )


class OnlyTraining(Network):
    def forward(self, x):
        x = functional.relu(self.stem(x))
        logits = self.fc(x.mean((2, 3)))
        return logits + self.head(self.aux(x).mean((2, 3))) if self.training else logits


def test_widths_outside_of_evaluation_count_half():
    """An auxiliary head that evaluation leaves out has no step; its width leaves, with half a share."""
    model = OnlyTraining(stem=conv(3, 5), aux=conv(5, 6), fc=nn.Linear(5, 10), head=nn.Linear(6, 10))
    assert steps_of(model) == {(3, (), "stem"): 1, (0, (), "aux"): HALF}


def test_a_pinned_width_ends_a_step_all_the_same():
    """A layer whose width stays bounds the one that it reads."""
    model = Plain(a=conv(3, 5), b=conv(5, 6), fc=nn.Linear(6, 10))
    graph = trace(model, torch.zeros(1, 3, 8, 8), pin=("b",))
    assert [(s.source, s.target, s.fixed_inputs, s.fixed_outputs) for s in graph.space.steps] == [
        (None, 0, 3, 0),
        (0, None, 0, 6),
    ]


@pytest.mark.parametrize("family", [plain(3, image=8), resnet(8, image=8)])
def test_families_say_their_steps_in_closed_form(family):
    """What a trace finds in a family's network is what the family says; in a traced ResNet inner widths are free."""

    def facts(space, layout):
        found = Counter()
        for step in space.steps:
            assert not step.carriers
            source = step.fixed_inputs if step.source is None else layout[step.source]
            found[source, layout[step.target]] += step.share
        return found

    layout = tuple(range(5, 5 + len(family.space)))
    graph = trace(family.build(layout), torch.zeros(1, 3, 8, 8))
    assert facts(graph.space, graph.layout) == facts(family.space, layout)


def random_flows(rng):
    """A graph of convolutions, ReLUs, sums and joins, its layers' widths, and the number of groups."""
    flows, widths = [], {}
    sizes = {0: 1}
    groups = 0
    made = {0: Width(None, 3)}  # value -> width that its channels have
    for value in range(1, rng.randint(6, 13)):
        kind = rng.choice(["conv", "conv", "relu", "add", "norm"])
        sources = (rng.randrange(max(0, value - 4), value),)
        if kind == "add":
            sources = tuple(sorted({rng.randrange(value), rng.randrange(value)}))
        layers = ()
        if kind == "conv":
            layers = (f"layer{value}",)
            widths[layers[0]] = LayerWidths(reads=(made[sources[0]],), writes=(Width(groups),))
            made[value], groups = Width(groups), groups + 1
        else:
            made[value] = made[sources[-1]]
        flows.append(
            Flow(
                op=kind,
                value=value,
                sources=sources,
                sizes=tuple(sizes[s] for s in sources),
                layers=layers,
                is_nonlinear=kind == "relu",
            )
        )
        sizes[value] = 1
    last = flows[-1].value
    flows.append(Flow(op="linear", value=last + 1, sources=(last,), sizes=(1,), layers=("fc",)))
    widths["fc"] = LayerWidths(reads=(made[last],), writes=(Width(None, 10),))
    return flows, widths, groups


def every_path(flows):
    """All paths from the input to the last value, as lists of flows."""
    by_value = {flow.value: flow for flow in flows}

    def upstream(value):
        if value not in by_value:
            return [[]]
        return [[*path, by_value[value]] for source in by_value[value].sources for path in upstream(source)]

    return upstream(flows[-1].value)


def steps_by_hand(flows, widths):
    """Steps from the definition, by following every way by itself."""
    by_value = {flow.value: flow for flow in flows}
    readers = {flow.value: [other for other in flows if flow.value in other.sources] for flow in flows}
    paths = every_path(flows)

    def depth(value):
        flow = by_value.get(value)
        return 0 if flow is None else bool(flow.layers) + max(depth(source) for source in flow.sources)

    def is_read_by_a_layer(flow):
        return any(other.layers or is_read_by_a_layer(other) for other in readers[flow.value])

    def is_activation(flow):
        return flow.op == "relu" and is_read_by_a_layer(flow)

    def meets(flow):
        return any(is_activation(other) or (not other.layers and meets(other)) for other in readers[flow.value])

    def origins(value):
        """(part, width of the activation or None, carriers) of everything that a value comes from."""
        flow = by_value.get(value)
        if flow is None or is_activation(flow):
            return [(Fraction(1), None, ())]
        deepest = max(depth(source) for source in flow.sources)
        sources = [s for s in flow.sources if depth(s) == deepest]
        found = [(p / len(sources), w, c) for s in sources for p, w, c in origins(s)]
        if not flow.layers:
            return found
        layer = widths[flow.layers[0]]
        return [(p, w or layer.reads[0], (*c, layer.writes[0].group)) for p, w, c in found]

    found = Counter()
    for flow in flows:
        if flow.layers and meets(flow):
            layer = widths[flow.layers[0]]
            share = Fraction(sum(flow in path for path in paths), len(paths)) or Fraction(1)
            ways = origins(flow.sources[0])
            carriers = frozenset(group for _, _, c in ways for group in c)
            for part, width, passed in ways:
                found[width or layer.reads[0], carriers if passed else frozenset(), layer.writes[0]] += share * part
    return found


def test_steps_and_shares_of_random_graphs():
    """Shares are counted path by path, and steps followed way by way, on a thousand graphs."""
    rng = random.Random(0)
    counted = 0
    for _ in range(1000):
        flows, widths, groups = random_flows(rng)
        paths = every_path(flows)
        shares = {
            layer: Fraction(sum(flow in path for path in paths), len(paths))
            for flow in flows
            for layer in flow.layers
            if any(flow in path for path in paths)
        }
        assert path_shares(flows, [flows[-1].value]) == shares
        expected = steps_by_hand(flows, widths)
        if not expected:
            continue
        found = Counter()
        ends = {target for _, _, target in expected}
        for step in activation_steps(flows, [flows[-1].value], widths, groups):
            target = Width(step.target, step.fixed_outputs)
            if target in ends:
                source = Width(step.source, step.fixed_inputs)
                found[source, frozenset(step.carriers), target] += step.share
        assert found == expected
        counted += 1
    assert counted > 200
