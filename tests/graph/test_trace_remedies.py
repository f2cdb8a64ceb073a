"""What a refusal advises helps: the layers it names are those to pin, and the remedy is for the illness."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graph_checks import Net, assert_exact
from parlay.errors import InputError, TraceError
from parlay.graph import trace

IMAGE = torch.zeros(1, 3, 8, 8)


class Attention(nn.Module):
    """Heads split by the size of another width, in the model's own forward; q, k and v from one layer or three."""

    def __init__(self, *, layers: int, width: int = 12, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.stem = nn.Conv2d(3, width, 3, 2, 1)
        self.inner = nn.ModuleList(nn.Conv2d(width, 3 * width // layers, 1) for _ in range(layers))
        self.out = nn.Conv2d(width, width, 1)
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        b, c, h, w = x.shape
        parts = [layer(x) for layer in self.inner]
        parts = parts[0].chunk(3, 1) if len(parts) == 1 else parts
        q, k, v = (t.reshape(b, self.heads, c // self.heads, h * w) for t in parts)
        y = v @ (q.transpose(-1, -2) @ k).softmax(-1).transpose(-1, -2)
        return self.head((x + self.out(y.reshape(b, c, h, w))).mean((2, 3)))


class NonLocal(nn.Module):
    """Three layers of one width that forward writes as a number."""

    def __init__(self, width: int = 12, inner: int = 6) -> None:
        super().__init__()
        self.inner = inner
        self.stem, self.head = nn.Conv2d(3, width, 3, 2, 1), nn.Linear(width, 3)
        self.q, self.k, self.v = (nn.Conv2d(width, inner, 1) for _ in range(3))
        self.out = nn.Conv2d(inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        q, k, v = (layer(x).view(len(x), self.inner, -1) for layer in (self.q, self.k, self.v))
        y = (q.transpose(1, 2) @ k).softmax(-1) @ v.transpose(1, 2)
        y = y.transpose(1, 2).reshape(len(x), self.inner, *x.shape[2:])
        return self.head((x + self.out(y)).mean((2, 3)))


def written_down(sizes: list[int]) -> Net:
    """Layers whose outputs are reshaped by numbers."""

    def forward(m: Net, x: Tensor) -> Tensor:
        x = m.stem(x)
        for i, size in enumerate(sizes):
            x = getattr(m, f"part{i}")(x).view(-1, size, 4, 16).view(-1, size, 8, 8)
        return m.head(x.mean((2, 3)))

    widths = [5, *sizes]
    layers = {f"part{i}": nn.Conv2d(widths[i], size, 1) for i, size in enumerate(sizes)}
    return Net(forward, stem=nn.Conv2d(3, 5, 1), head=nn.Linear(sizes[-1], 3), **layers)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("wrapped", [False, True])
def test_heads_split_by_another_width_are_traced(layers: int, wrapped: bool) -> None:
    """In the model's own forward as one level down: one width, the number of heads stays."""
    model: nn.Module = Attention(layers=layers)
    graph = assert_exact(nn.Sequential(model) if wrapped else model, (3, 8, 8))
    [group] = graph.space.groups
    assert (group.multiple_of, len(group.members)) == (2, layers + 2)
    assert graph.followed == ()


@pytest.mark.parametrize(
    "model", [NonLocal(), nn.Sequential(NonLocal()), written_down([6]), written_down([6, 7, 9, 10, 11, 13])]
)
def test_the_layers_that_a_refusal_names_are_those_to_pin(model: nn.Module) -> None:
    """All of them stand in the message, and with them pinned the model is traced, the stem free."""
    with pytest.raises(TraceError) as caught:
        trace(model, IMAGE)
    assert caught.value.pins
    assert all(f"--pin '{pin}'" in str(caught.value) for pin in caught.value.pins)
    graph = trace(model, IMAGE, pin=caught.value.pins)
    assert any("stem" in group.name for group in graph.space.groups)


@dataclass
class Answer:
    logits: Tensor


def ending(last: object) -> Net:
    return Net(
        lambda m, x: last(m, m.head(m.b(m.a(x).relu()).relu().mean((2, 3)))),  # type: ignore[operator]
        a=nn.Conv2d(3, 8, 3, 2, 1),
        b=nn.Conv2d(8, 12, 3, 2, 1),
        head=nn.Linear(12, 5),
    )


def sampled(m: Net, y: Tensor) -> Tensor:
    return y * 2 if m.training and torch.rand(1).item() < 0.5 else y


def targets_wanted(m: Net, y: Tensor) -> Tensor:
    if m.training:
        raise ValueError("targets should not be None")
    return y


ILLNESSES: list[tuple[nn.Module, list[str], str]] = [
    (ending(lambda _, y: Answer(y)), ["Answer", "register_dataclass"], "depends on the data"),
    (ending(sampled), ["test_trace_remedies.py", "return y * 2 if", "depends on the data"], "--input"),
    (ending(targets_wanted), ["targets", "--part a"], "change the input"),
    (nn.Conv2d(4, 8, 3), ["channels", "--input 3x224x224"], "--part"),
    (nn.Sequential(nn.Linear(8, 4), nn.Embedding(9, 4)), ["--input tokens:20"], "3x224x224"),
    (ending(lambda _, y: y).half(), ["float16", "float32", "model.float()"], "3x224x224"),
    (ending(lambda _, y: y).to("meta"), ["meta", "cpu", "one device"], "3x224x224"),
    (Net(lambda m, x, y: m.a(x) + y, a=nn.Conv2d(3, 4, 1)), ["one --input for every input"], "3x224x224"),
    (nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU(), nn.LazyLinear(3)), ["0, 2", "run one batch"], "report it"),
    (nn.Sequential(nn.Conv2d(3, 8, 3)), ["no width is free", "let it return less"], "pin fewer"),
]


@pytest.mark.parametrize(("model", "words", "never"), ILLNESSES)
def test_a_remedy_fits_its_illness(model: nn.Module, words: list[str], never: str) -> None:
    """One line that says what is the matter, and no advice that cannot help."""
    with pytest.raises((InputError, TraceError)) as caught:
        trace(model, IMAGE)
    message = str(caught.value)
    assert [word for word in words if word not in message] == []
    assert never not in message
    assert "\n" not in message


def test_pins_that_leave_nothing_are_told() -> None:
    """Where pins keep every width, fewer of them are the remedy."""
    with pytest.raises(TraceError, match="pin fewer layers"):
        trace(ending(lambda _, y: y), IMAGE, pin=["*"])


def test_a_model_without_values_is_traced_and_says_so() -> None:
    """On the meta device everything is counted; what needs values is refused, and a buffer's width stays."""

    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.head = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 12, 1), nn.Linear(12, 5)
            self.register_buffer("places", torch.linspace(0, 1, 8).view(1, 8, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return self.head(F.relu(self.b(self.a(x) + self.places)).mean((2, 3)))

    graph = trace(Placed().to("meta"), IMAGE.to("meta"))
    assert graph.params(graph.layout) == sum(p.numel() for p in Placed().parameters())
    assert [group.name for group in graph.space.groups] == ["b"]
    assert "entries of buffer places are not known" in graph.pinned
    assert all(parameter.is_meta for parameter in graph.build((20,)).parameters())
    with pytest.raises(InputError, match="which has none"):
        graph.build((20,), keep=[range(graph.layout[0])])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_other_types_are_traced_with_inputs_of_theirs(dtype: torch.dtype) -> None:
    """Counts do not depend on the type of the weights, and a built network has it."""
    plain = trace(ending(lambda _, y: y), IMAGE)
    graph = trace(ending(lambda _, y: y).to(dtype), IMAGE.to(dtype))
    assert (graph.params(graph.layout), graph.macs(graph.layout)) == (
        plain.params(plain.layout),
        plain.macs(plain.layout),
    )
    assert {parameter.dtype for parameter in graph.build(graph.layout).parameters()} == {dtype}
