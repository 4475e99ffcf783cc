"The network, plain and fast: one is the other; what they are built of, and what they cost."
import copy
import io

import pytest
import torch

from nvae.config import ModelConfig, load_config
from nvae.errors import BadInput
from nvae.network.cells import TopDownCell
from nvae.network.cost import describe
from nvae.network.fast import FAST, use_fast, use_plain
from nvae.network.layers import BatchNorm
from nvae.network.likelihoods import LIKELIHOODS
from nvae.network.model import NVAE, prior_noise
from nvae.noise import draw_noise, fold_temperature, group_temperatures

SMALL = dict(image_size=16, channels=8, n_groups=2, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2)
KINDS = dict(usual={}, flows=dict(n_flows=1), flows_in_prior=dict(n_flows=1, flows_in_prior=True),
             no_gate=dict(squeeze_excitation=False),
             one_group=dict(n_scales=1, n_groups=1), recomputed={})


@pytest.fixture(params=KINDS)
def twins(request):
    "A plain network and a fast copy of it, in float64"
    torch.manual_seed(0)
    plain = NVAE(ModelConfig(**{**SMALL, **KINDS[request.param]})).double()
    plain.gradient_checkpointing = request.param == 'recomputed'
    return plain, use_fast(copy.deepcopy(plain))


def images(n=4):
    return torch.rand(n, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def step(model, optimizer, seed):
    out = model.train()(images(), seed=seed)
    (out.kls.sum() - out.px.log_prob(images()).sum()).backward()
    optimizer.step()
    optimizer.zero_grad()


def assert_close(a, b, tolerance=1e-9, name=''):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, msg=lambda m: f'{name}: {m}')


def assert_same(a, b, tolerance=1e-8):
    assert list(a) == list(b)
    for key in a: assert_close(a[key], b[key], tolerance, key)


def test_names_order_and_values_stay(twins):
    plain, fast = twins
    assert_same(plain.state_dict(), fast.state_dict(), 0)
    assert [n for n, _ in plain.named_parameters()] == [n for n, _ in fast.named_parameters()]
    assert not any(type(m) in FAST for m in fast.modules()), 'a plain component was left'
    assert [type(m) for m in use_plain(use_fast(fast)).modules()] == [type(m) for m in plain.modules()]


def test_either_resumes_the_other(twins):
    "Three steps; the forms change places with weights and optimiser in between"
    models, states = [*twins], []
    optimizers = [torch.optim.Adamax(m.parameters(), lr=1e-3) for m in models]
    for model, optimizer in zip(models, optimizers): step(model, optimizer, 0)
    assert_same(models[0].state_dict(), models[1].state_dict())
    for model, optimizer in zip(models, optimizers):
        states.append((copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())))
    for model, optimizer, (weights, averages) in zip(models, optimizers, reversed(states)):
        model.load_state_dict(weights)
        optimizer.load_state_dict(averages)
        for seed in (1, 2): step(model, optimizer, seed)
    assert_same(models[0].state_dict(), models[1].state_dict(), 1e-6)


def test_frozen_sampling_and_saving(twins):
    plain, fast = (m.eval() for m in twins)
    assert_close(plain.generate(3, .7, seed=1).params, fast.generate(3, .7, seed=1).params)
    file = io.BytesIO()
    torch.save(fast, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert torch.equal(again.generate(2, seed=0).params, fast.generate(2, seed=0).params)


def test_plain_is_plain():
    "Nothing that is done for speed stands in a network by itself"
    model = NVAE(ModelConfig(**SMALL))
    assert not any(type(m).__module__.endswith('.fast') for m in model.modules())
    assert type(TopDownCell(8, 8, up=True).depthwise) is torch.nn.Conv2d
    assert not hasattr(BatchNorm(4), 'repeats')


def test_temperature_is_in_the_noise():
    "Of every kind of prior: σ times t·ε, and nothing else knows of a temperature"
    torch.manual_seed(0)
    model = NVAE(ModelConfig(**SMALL)).double().eval()
    noise = [eps.double() for eps in draw_noise(model.cfg, 2, 0)]
    drawn = model.generate(temperature=[.5, .9], noise=noise)
    folded = fold_temperature(model.cfg, noise, [.5, .9])
    assert group_temperatures(model.cfg, [.5, .9]) == [.5, .5, .9, .9]
    assert torch.equal(drawn.params, model.generate(noise=folded).params)
    for found, eps in zip(prior_noise(model, drawn.zs), folded): assert_close(found, eps)
    with pytest.raises(BadInput, match='outside 0–2'): fold_temperature(model.cfg, noise, 3)


def test_noise_of_a_generator():
    model = NVAE(ModelConfig(**SMALL)).eval()
    x = images().float()
    drawn = [model(x, generator=torch.Generator().manual_seed(4)).params for _ in range(2)]
    assert torch.equal(*drawn)
    torch.manual_seed(4)
    assert torch.equal(model(x).params, drawn[0])


@pytest.mark.parametrize('name', LIKELIHOODS)
def test_likelihoods_know_themselves(name):
    kind = LIKELIHOODS[name]
    is_discrete = name in ('bernoulli', 'logistic_mixture', 'logistic_mixture_per_channel')
    assert kind.discrete == is_discrete and (kind.levels(5) is not None) == kind.discrete
    assert kind.unit == ('nats' if name == 'bernoulli' else 'bits/dim' if is_discrete else 'nats (density)')
    px = kind(torch.randn(2, kind.n_params(3, 4), 4, 4), 3, 4)
    assert torch.equal(px.picture('sample', 7), px.sample(noise=px.draw_noise(torch.Generator().manual_seed(7))))
    with pytest.raises(BadInput, match='neither'): px.picture('mode')


def test_describe_draws_nothing():
    "What a configuration costs is found without drawing numbers"
    before = torch.get_rng_state()
    facts = describe(load_config('quickstart'))
    assert torch.equal(torch.get_rng_state(), before)
    assert facts['parameters'] == sum(p.numel() for p in NVAE(load_config('quickstart')).parameters())
