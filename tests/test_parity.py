"Every number of the official network that we have, against ours, plain and fast: float64 to 1e-9, float32 to rounding"
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from nvae.config import ModelConfig
from nvae.interop import from_official, key_map, layer_names
from nvae.network.fast import use_fast, use_plain
from nvae.network.likelihoods import likelihood
from nvae.training.losses import balance, balancing_alpha, objective
from nvae.training.spectral import SpectralPenalty, bn_penalty, unit

FOLDER = Path(__file__).parent / 'parity'
FIXTURES = sorted(p.stem for p in FOLDER.glob('*.npz'))
FORMS = {'plain': use_plain, 'fast': use_fast}
CASES = [(name, form) for name in FIXTURES for form in FORMS]
RTOL = {torch.float64: 1e-9, torch.float32: 1e-5}
ATOL = {torch.float64: 1e-9, torch.float32: 5e-6}


class Official:
    "One fixture: the model with its weights, the stored tensors by key"
    def __init__(self, name, dtype=torch.float64, form='plain'):
        self.arrays = dict(np.load(FOLDER / f'{name}.npz'))
        self.dtype = dtype
        prefix = 'state_dict/'
        weights = {key.removeprefix(prefix): torch.from_numpy(self.arrays[key]) for key in self.keys(prefix)}
        model = from_official(weights, json.loads(str(self.arrays['args'])))
        self.model = FORMS[form](model.to(dtype))
        self.x = self['inputs/x']

    def __getitem__(self, key):
        return torch.from_numpy(self.arrays[key]).to(self.dtype)

    def noise(self, kind):
        "The stored noise of every group"
        return [self[f'noise/{kind}/{g}'] for g in range(len(self.model.groups))]

    def keys(self, prefix):
        return [key for key in self.arrays if key.startswith(prefix)]

    def pair(self, key, ours):
        "An output and ours, both in one row, ours thinned as the output is"
        theirs, ours = self[f'outputs/{key}'].reshape(-1), ours.detach().reshape(-1)
        if ours.numel() != theirs.numel(): ours = ours[::-(-ours.numel() // 1500)]
        return theirs, ours

    def check(self, key, ours, rtol=None, atol=None):
        "Ours against an output"
        theirs, ours = self.pair(key, ours)
        tolerances = dict(rtol=rtol or RTOL[self.dtype], atol=atol or ATOL[self.dtype])
        torch.testing.assert_close(ours, theirs, **tolerances, msg=lambda m: f'{key}: {m}')

    def named(self, prefix):
        "Outputs whose key is the prefix and an official name: the key, and our name"
        ours = key_map(self.model)
        for key in self.keys(f'outputs/{prefix}'):
            yield key.removeprefix('outputs/'), ours[key.removeprefix(f'outputs/{prefix}')]

    def check_each(self, prefix, tensors, **tolerances):
        "Our tensors, by our names, against all outputs whose key is the prefix and an official name"
        for key, name in self.named(prefix):
            self.check(key, tensors[name], **tolerances)


@pytest.fixture(scope='module', params=CASES, ids='-'.join)
def official(request):
    name, form = request.param
    return Official(name, form=form)


@pytest.fixture(scope='module', params=CASES, ids='-'.join)
def single(request):
    name, form = request.param
    return Official(name, torch.float32, form)


def check_forward(o):
    with torch.no_grad(): out = o.model(o.x, o.noise('forward'))
    o.check('f64/logits', out.params)
    o.check('f64/kl_all', out.kls)
    o.check('f64/log_q', out.log_q)
    o.check('f64/log_p', out.log_p)
    log_px = out.px.log_prob(o.x).sum((1, 2))
    o.check('f64/recon_loss', -log_px)
    o.check('f64/nelbo', out.kls.sum(0) - log_px)
    atol = 1e-8 if o.dtype == torch.float64 else 2e-4
    if not o.model.cfg.crop: o.check('f64/log_prob_map', out.px.log_prob(o.x), atol=atol)


def test_forward(official):
    check_forward(official)


def test_forward_float32(single):
    check_forward(single)


def test_forward_with_gradients_enabled(official):
    "The unfolded path that training takes, in eval mode"
    official.check('f64/logits', official.model(official.x, official.noise('forward')).params)


def test_sampling(official):
    out = official.model.generate(2, 0.7, noise=official.noise('sample'))
    official.check('f64/sample_logits_t0.7', out.params)


def test_sampling_float32(single):
    out = single.model.generate(2, 0.7, noise=single.noise('sample'))
    single.check('f64/sample_logits_t0.7', out.params)


def test_importance_weights(official):
    def log_weight(k):
        out = official.model(official.x, official.noise(f'iw{k}'))
        return out.px.log_prob(official.x).sum((1, 2)) - out.log_q + out.log_p
    with torch.no_grad(): weights = torch.stack([log_weight(k) for k in range(3)])
    official.check('f64/iw_log_p_k3', weights.logsumexp(0) - math.log(3))


def test_pixels(official):
    with torch.no_grad(): px = official.model(official.x, official.noise('forward')).px
    if official.model.cfg.is_binary:
        official.check('f64/rec_bernoulli_mean', px.mean)
        return
    official.check('f64/rec_pixel_mean', px.mean)
    noise = official['noise/pixel_noise_t1.0/0'], official['noise/pixel_noise_t1.0/1']
    official.check('f64/rec_pixel_sample_t1.0', px.sample(noise=noise))


def test_balancing(official):
    cfg = official.model.cfg
    official.check('alpha/square', torch.tensor(balancing_alpha(cfg), dtype=torch.float64), rtol=1e-6)
    with torch.no_grad(): kls = official.model(official.x, official.noise('forward')).kls
    official.check('f64/balanced_kl_coeff0.5', balance(kls, cfg, 0.5))


def seeded_penalty(o):
    "The spectral penalty with the stored first vectors"
    penalty = SpectralPenalty(o.model)
    places = {}
    for shape, names in penalty.layers.items():
        for i, name in enumerate(names): places[name] = f'u_{shape}', i
    ours, buffers = dict(layer_names(o.model)), dict(penalty.named_buffers())
    for j, layers in enumerate(json.loads(str(o.arrays['spectral_layers']))):
        for layer, u in zip(layers, unit(o[f'noise/sr_u0_raw/{j}'])):
            key, i = places.pop(ours[layer])
            buffers[key][i] = u
    assert not places, 'layers that the official penalty does not know'
    return penalty


def test_penalties(official):
    with torch.no_grad(): official.model(official.x, official.noise('forward'))
    official.check('f64/bn_loss', bn_penalty(official.model))
    penalty = seeded_penalty(official)
    official.check('f64/sr/official_call0_loss', penalty())
    official.check('f64/sr/official_call1_loss', penalty())


@pytest.mark.parametrize('name,form', CASES)
def test_training_step(name, form):
    "Loss, gradient norm of every parameter and BatchNorm's buffers after one step in train mode"
    o = Official(name, form=form)
    o.model.train()
    out = o.model(o.x, o.noise('forward'))
    loss = objective(out, o.x, 0.5, o.model.cfg)
    spectral, bn = seeded_penalty(o)(), bn_penalty(o.model)
    total = loss.total + 1e-2 * (spectral + bn)
    o.check('f64/train/logits', out.params)
    o.check('f64/train/kl_all', out.kls)
    o.check('f64/train/recon_loss', loss.recon)
    o.check('f64/train/norm_loss', spectral)
    o.check('f64/train/bn_loss', bn)
    o.check('f64/train/loss', total)
    total.backward()
    norms = {name: p.grad.norm() for name, p in o.model.named_parameters() if p.grad is not None}
    o.check_each('f64/train/grad_norm/', norms, rtol=1e-7)
    o.check_each('f64/train/buffer_after/', dict(o.model.named_buffers()))


@pytest.mark.parametrize('name,form', CASES)
def test_sampling_in_train_mode_updates_batchnorm(name, form):
    o = Official(name, form=form)
    o.model.train()
    start = {key: buffer.clone() for key, buffer in o.model.named_buffers()}
    for k in range(2): o.model.generate(2, 0.7, noise=o.noise(f'readjust{k}'))
    buffers = dict(o.model.named_buffers())
    o.check_each('f64/readjust/', buffers)
    assert any(not torch.equal(start[name], buffer) for name, buffer in buffers.items())


@pytest.mark.parametrize('bits', [8, 5, 3])
def test_mixture_alone(bits):
    "At 8 bits the pixel value 254 is left out, where the official code is wrong on purpose"
    o = Official('plain_2scales', torch.float32)
    x = o['noise/dist/x8'] if bits == 8 else o[f'noise/dist/x_bits{bits}']
    cfg = ModelConfig(image_size=8, n_bits=bits, n_scales=1)
    ours = likelihood(o['noise/dist/logits_mix'], cfg).log_prob(x)
    theirs = o[f'outputs/dist/mix_log_prob_bits{bits}']
    usable = torch.ones_like(ours, dtype=torch.bool)
    if bits == 8: usable = ~(x * 255).round().eq(254).any(1)
    torch.testing.assert_close(ours[usable], theirs[usable], rtol=0, atol=2e-3)


def test_normal_alone():
    o = Official('plain_2scales', torch.float32)
    normal = likelihood(o['noise/dist/logits_normal'], ModelConfig(image_size=8, n_scales=1, likelihood='normal'))
    theirs = o['outputs/dist/normal_decoder_log_prob'].sum(1)
    torch.testing.assert_close(normal.log_prob(o['noise/dist/x8']), theirs, rtol=0, atol=2e-3)


def test_mean_of_the_mixture():
    o = Official('plain_2scales', torch.float32)
    mixture = likelihood(o['noise/dist/logits_mix'], ModelConfig(image_size=8, n_scales=1))
    torch.testing.assert_close(mixture.mean, o['outputs/dist/mix_mean'], rtol=0, atol=2e-3)
