"What the backward pass keeps, to the byte, and that the steps of autograd written by hand are right"
import copy
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from nvae.config import ModelConfig, load_config
from nvae.network.backward import Depthwise, Doubling, SwishConv
from nvae.network.cells import BottomUpCell, TopDownCell
from nvae.network.cost import kept_bytes
from nvae.network.fast import use_fast, use_plain
from nvae.network.layers import BatchNorm
from nvae.network.likelihoods import likelihood
from nvae.network.model import NVAE, recomputed

CELLS = dict(
    up=partial(BottomUpCell, 4, 4), halving=partial(BottomUpCell, 4, 8, down=True),
    down=partial(TopDownCell, 4, 4, widening=2), doubling=partial(TopDownCell, 4, 4, widening=2, up=True),
    no_gate=partial(TopDownCell, 4, 4, widening=2, squeeze_excitation=False),
    no_gate_up=partial(BottomUpCell, 4, 4, squeeze_excitation=False))
KEPT = {  # configuration: MiB of 8 images that the fast and the plain form keep
    'logistic_mixture10latent': (388.6, 1110.4), 'big_logistic_mixture20latentnoflows': (643.3, 1723.9)}
MOST = {'logistic_mixture10latent': 456, 'big_logistic_mixture20latentnoflows': 664}  # half of the official code's


def numbers(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=CELLS)
def cell(request):
    "A fast cell in float64 whose BatchNorms have weights of their own"
    torch.manual_seed(0)
    cell = use_fast(CELLS[request.param]()).double()
    for norm in cell.modules():
        if isinstance(norm, BatchNorm):
            torch.nn.init.normal_(norm.weight)
            torch.nn.init.normal_(norm.bias)
    return cell


def after_a_step(cell, x, towards=None):
    "Output, gradients and buffers"
    cell.zero_grad()
    x = x.detach().clone().requires_grad_()
    out = cell(x)
    out.backward(numbers(*out.shape, dtype=out.dtype, seed=1) if towards is None else towards)
    return [out, x.grad, *(p.grad for p in cell.parameters()), *cell.buffers()]


def assert_same(ours, theirs, tolerance=1e-9):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs): torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def test_gradient_of_a_cell(cell):
    names = [name for name, _ in cell.named_parameters()]
    def run(x, *weights): return torch.func.functional_call(cell, dict(zip(names, weights)), x)
    x = numbers(3, 4, 4, 4).requires_grad_()
    assert torch.autograd.gradcheck(run, (x, *cell.parameters()), fast_mode=True)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_a_cell_is_the_plain_one(cell, layout):
    plain = use_plain(copy.deepcopy(cell))
    x = numbers(3, 4, 6, 6).contiguous(memory_format=layout)
    assert_same(after_a_step(cell, x), after_a_step(plain, x))


def test_a_cell_is_the_plain_one_in_float32(cell):
    "Where the processor takes images for filters"
    cell = cell.float()
    plain = use_plain(copy.deepcopy(cell))
    x = numbers(3, 4, 16, 16, dtype=torch.float32)
    assert_same(after_a_step(cell, x), after_a_step(plain, x), 2e-3)


def test_statistics_move_once(cell):
    "And so they do when the cell is run again for the backward pass"
    again = copy.deepcopy(cell)
    x = numbers(3, 4, 6, 6)
    first = after_a_step(cell, x)
    assert {int(m.num_batches_tracked) for m in cell.modules() if isinstance(m, BatchNorm)} == {1}
    assert_same(after_a_step(lambda_module(again), x), first, 1e-12)


def lambda_module(cell):
    "The cell, recomputed in the backward pass"
    class Recomputed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = cell

        def forward(self, x):
            return recomputed(self.cell, x)
    return Recomputed()


@pytest.mark.parametrize('momentum', [.05, None])
def test_statistics_of_any_momentum(cell, momentum):
    plain = use_plain(copy.deepcopy(cell))
    for norm in [*cell.modules(), *plain.modules()]:
        if isinstance(norm, BatchNorm): norm.momentum = momentum
    for seed in range(3):
        x = numbers(3, 4, 6, 6, seed=seed)
        assert_same(after_a_step(cell, x), after_a_step(plain, x))


def test_bfloat16(cell):
    "Under autocast the cell stays near itself in float32, and gives gradients in the weights' type"
    cell = cell.float()
    x = numbers(3, 4, 8, 8, dtype=torch.float32)
    exact = after_a_step(copy.deepcopy(cell), x)
    with torch.autocast('cpu', torch.bfloat16): out = cell(x)
    out.float().backward(numbers(*out.shape, dtype=torch.float32, seed=1))
    torch.testing.assert_close(out.float(), exact[0], rtol=.05, atol=.1)
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in cell.parameters())


@pytest.mark.parametrize('way,size', [(Depthwise, 8), (Doubling, 16)])
def test_depthwise_by_hand(way, size):
    "In both precisions, of which float32 takes images for filters"
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        x, filters = numbers(3, 6, 8, 8, dtype=dtype), numbers(6, 1, 5, 5, dtype=dtype)
        grad = numbers(3, 6, size, size, dtype=dtype)
        def convolved(x, filters):
            if way is Doubling: x = F.interpolate(x, scale_factor=2)
            return F.conv2d(x, filters, padding=2, groups=6)
        out, back = torch.func.vjp(convolved, x, filters)
        assert_same([way.forward(x, filters, None)], [out], tolerance)
        assert_same(way.back(grad, x, filters, False)[:2], back(grad), tolerance)


def test_gradient_of_swish_and_convolution():
    tensors = [numbers(*shape).requires_grad_() for shape in ((2, 3, 4, 4), (5, 3, 2, 2), (5,))]
    assert torch.autograd.gradcheck(partial(SwishConv.apply, torch.float64), tensors)


@pytest.mark.parametrize('kind', ['logistic_mixture', 'logistic_mixture_per_channel'])
@pytest.mark.parametrize('channels,bits', [(3, 8), (1, 5), (3, 1)])
def test_slopes_of_a_likelihood(kind, channels, bits):
    "Both edges, narrow and wide components, and those that are clamped"
    cfg = ModelConfig(image_size=16, n_scales=2, n_groups=1, channels=4, z_channels=2, image_channels=channels, n_mix=3,
                      n_bits=bits, likelihood=kind)
    fast, plain = use_fast(NVAE(cfg)), NVAE(cfg)
    params = 4 * numbers(2, fast.head[1].out_channels, 16, 16)
    x = torch.randint(0, 2 ** bits, (2, channels, 16, 16), generator=torch.Generator().manual_seed(0)).double()
    x = x / (2 ** bits - 1)
    results = []
    for model in (fast, plain):
        own = params.clone().requires_grad_()
        log_prob = model.likelihood(own).log_prob(x)
        log_prob.backward(numbers(2, 16, 16, seed=3))
        results.append([log_prob, own.grad])
    assert_same(*results)
    assert_same([fast.likelihood(params).log_prob(x)], [likelihood(params, cfg).log_prob(x)], 0)


@pytest.mark.parametrize('name', KEPT)
def test_what_is_kept(name):
    "Counted on the meta device; a change of these figures is a change of how large a batch fits a card"
    found = []
    for form in (use_fast, use_plain):
        with torch.device('meta'): model = form(NVAE(load_config(name)))
        found.append(kept_bytes(model.to(memory_format=torch.channels_last)) / 2 ** 20)
    assert [round(mib, 1) for mib in found] == list(KEPT[name])
    assert found[0] <= MOST[name]


def test_what_is_kept_on_a_processor():
    "The same as on the meta device, and the count leaves the network as it was"
    cfg = ModelConfig(image_size=16, channels=8, n_groups=2, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2)
    model = use_fast(NVAE(cfg)).to(memory_format=torch.channels_last)
    before = copy.deepcopy(model.state_dict())
    kept = kept_bytes(model, 4)
    with torch.device('meta'): shapes = use_fast(NVAE(cfg))
    assert kept == kept_bytes(shapes.to(memory_format=torch.channels_last), 4)
    for name, tensor in model.state_dict().items(): assert torch.equal(tensor, before[name]), name
