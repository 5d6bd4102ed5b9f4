"""What `create` returns is an ordinary module: the ecosystem's tools work on every network, tested against its own
forward pass."""

import copy
import io
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from alexnet.models import catalog
from alexnet.models.init import initialize
from alexnet.models.network import Network
from alexnet.models.resnet import ResNet
from alexnet.models.spec import Spec
from alexnet.models.structure import Conv, Linear, leaves, rows


def narrowed(name: str) -> Spec:
    """The network's form with few filters, few hidden units and few blocks, for the least images that it takes."""
    spec = catalog.get(name)
    if isinstance(spec.architecture, ResNet):
        blocks = (1, *(2 for _ in spec.architecture.blocks[1:]))
        return replace(spec, architecture=replace(spec.architecture, blocks=blocks))
    layers = tuple(
        replace(layer, out=8) if isinstance(layer, Conv) or (isinstance(layer, Linear) and layer.out) else layer
        for layer in spec.layers
    )
    return replace(spec, architecture=layers)


def form(name: str) -> tuple[object, ...]:
    spec = narrowed(name)
    return spec.architecture, spec.output, spec.input


NAMES = list({form(name): name for name in reversed(catalog.CATALOG)}.values())
"""One network of each form: the others differ in width, depth or initialization only."""


def narrow(name: str) -> Network:
    """In evaluation, with BatchNorm's statistics away from rest."""
    torch.manual_seed(0)
    spec = narrowed(name)
    side = spec.input[1] if spec.input[1] < 100 else 67
    network = catalog.build(spec, (spec.input[0], side, side), classes=5).eval()
    initialize(network, "he")
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None and part.running_var is not None:
            part.running_mean.uniform_(-0.1, 0.1)
            part.running_var.uniform_(0.9, 1.1)
    return network


@pytest.fixture(params=NAMES)
def network(request: pytest.FixtureRequest) -> Network:
    return narrow(request.param)


def batch(network: Network, count: int = 2) -> Tensor:
    return torch.randn(count, *network.input, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_tracing_exporting_and_copying(network: Network) -> None:
    """torch.fx, torch.jit, torch.export, deepcopy, pickle and torch.compile (its front end) keep the function."""
    x = batch(network)
    expected = network(x)
    assert torch.equal(torch.fx.symbolic_trace(network)(x), expected)  # pyright: ignore
    assert torch.equal(copy.deepcopy(network)(x), expected)
    content = io.BytesIO()
    torch.save(network, content)
    content.seek(0)
    again = torch.load(content, weights_only=False)  # our own, of a moment ago
    assert torch.equal(again(x), expected)
    assert (again.spec, again.input) == (network.spec, network.input)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*torch.jit.*")
def test_jit_trace(network: Network) -> None:
    x = batch(network)
    traced = torch.jit.trace(network, x)
    assert isinstance(traced, torch.jit.ScriptModule)
    torch.testing.assert_close(traced(batch(network, 3)), network(batch(network, 3)))


@torch.no_grad()
def test_export(network: Network) -> None:
    dynamic = ({0: torch.export.Dim("batch", min=1, max=64)},)
    program = torch.export.export(network, (batch(network),), dynamic_shapes=dynamic)
    torch.testing.assert_close(program.module()(batch(network, 3)), network(batch(network, 3)))


@pytest.mark.parametrize("name", ["alexnet-digits", "resnet-29-v2"])
def test_compile(name: str) -> None:
    network = narrow(name)
    x = batch(network)
    expected = torch.autograd.grad(network(x).square().sum(), list(network.parameters()))
    torch.compiler.reset()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    got = torch.autograd.grad(compiled(x).square().sum(), list(network.parameters()))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * b.abs().max().item() + 1e-6)


@torch.no_grad()
def test_indexing_and_slicing(network: Network) -> None:
    x = batch(network)
    for cut in (1, 5, len(network) - 1):
        first, rest = network[:cut], network[cut:]
        assert torch.equal(rest(first(x)), network(x))
        assert [name for name, _ in first.named_children()] == list(network.layer_names[:cut])
    assert network[0] is next(network.children())
    assert network[-1] is list(network.children())[-1]


def test_vmap_and_gradients_of_each_example(network: Network) -> None:
    x, labels = batch(network), torch.tensor([0, 3])
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def loss(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = torch.func.functional_call(network, (parameters, buffers), (image[None],))
        return nn.functional.cross_entropy(logits, label[None])

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, x, labels)
    nn.functional.cross_entropy(network(x), labels).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        scale = parameter.grad.abs().max().item()
        torch.testing.assert_close(each[name].mean(0), parameter.grad, rtol=1e-3, atol=1e-4 * scale + 1e-9)


def test_hooks_see_every_layer_in_its_published_order_and_shape(network: Network) -> None:
    """Forward hooks in order with the shapes that the description gives, full backward hooks in reverse order."""
    described = leaves(rows(network.spec.architecture, network.input, network.classes))
    expected = [(name, layer.output(shape)) for name, layer, shape in described]
    seen, backward = [], []
    for name, _ in expected:
        part = network.get_submodule(name)
        part.register_forward_hook(
            lambda _, args, y, name=name: seen.append((name, tuple(y.shape[1:])))  # pyright: ignore
        )
        part.register_full_backward_hook(
            lambda _, into, out, name=name: backward.append((name, tuple(out[0].shape[1:])))  # pyright: ignore
        )
    network(batch(network).requires_grad_()).sum().backward()
    assert seen == expected
    assert sorted(backward) == sorted(expected)
    if network.layers:
        assert backward == expected[::-1]


def test_the_gradient_at_relu5_of_owt_has_its_published_shape() -> None:
    network, shapes = catalog.create("alexnet-owt", classes=3), []
    network.get_submodule("relu5").register_full_backward_hook(lambda _, into, out: shapes.append(out[0].shape[2:]))
    network(torch.randn(1, 3, 224, 224, requires_grad=True)).sum().backward()
    assert shapes == [(13, 13)]


@torch.no_grad()
def test_pruning(network: Network) -> None:
    x, name = batch(network), next(n for n, part in network.named_modules() if isinstance(part, nn.Conv2d))
    part = network.get_submodule(name)
    prune.l1_unstructured(part, "weight", amount=0.5)
    pruned = network(x)
    assert part.get_buffer("weight_mask").mean() == pytest.approx(0.5, abs=0.02)
    prune.remove(part, "weight")
    assert torch.equal(network(x), pruned)


@torch.no_grad()
def test_features_by_node(network: Network) -> None:
    """As torchvision extracts features: a graph whose nodes are the leaves, cut behind one of them."""

    class Leaves(torch.fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return not list(m.children())

    module = torch.fx.GraphModule(network, Leaves().trace(network))
    nodes = [node for node in module.graph.nodes if node.op == "call_module"]
    node, (output,) = nodes[len(nodes) // 2], (each for each in module.graph.nodes if each.op == "output")
    output.args = (node,)
    module.graph.eliminate_dead_code()
    module.recompile()
    seen = []
    network.get_submodule(str(node.target)).register_forward_hook(lambda _, args, y: seen.append(y))
    network(batch(network))
    assert torch.equal(module(batch(network)), seen[0])
    assert len(list(module.graph.nodes)) < len(nodes)


@torch.no_grad()
def test_only_torchs_own_classes_where_they_compute_the_same() -> None:
    """Tools that know layers by their exact class (captum's DeepLift) find them."""
    network = catalog.create("alexnet-thinner-4")
    kinds = {type(part) for part in network}
    assert kinds == {nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Flatten, nn.Linear, nn.Dropout}
