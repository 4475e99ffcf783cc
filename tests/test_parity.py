"Every number of the official network that we have, against ours, plain and fast: float64 to 1e-9, float32 to rounding."
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

FIXTURES = sorted(p.stem for p in (Path(__file__).parent / 'parity').glob('*.npz'))
FORMS = {'plain': use_plain, 'fast': use_fast}
CASES = [(name, form) for name in FIXTURES for form in FORMS]


class Official:
    "One fixture: the model with its weights, the stored tensors by key"
    def __init__(self, name, form='plain', dtype=torch.float64):
        self.arrays, self.dtype = dict(np.load(Path(__file__).parent / 'parity' / f'{name}.npz')), dtype
        weights = {k.removeprefix('state_dict/'): torch.from_numpy(v) for k, v in self.arrays.items() if k.startswith('state_dict/')}
        self.model = FORMS[form](from_official(weights, json.loads(str(self.arrays['args']))).to(dtype))
        self.x = self['inputs/x']

    def __getitem__(self, key): return torch.from_numpy(self.arrays[key]).to(self.dtype)
    def noise(self, kind): return [self[f'noise/{kind}/{g}'] for g in range(len(self.model.groups))]
    def keys(self, prefix): return [k for k in self.arrays if k.startswith(prefix)]

    def check(self, key, ours, rtol=None, atol=None):
        "Ours against an output, thinned as it is"
        theirs = self[f'outputs/{key}']; ours = ours.detach().reshape(-1)
        ours = ours[::-(-ours.numel() // 1500)] if ours.numel() != theirs.numel() else ours
        rtol = rtol or {torch.float64: 1e-9, torch.float32: 1e-5}[self.dtype]
        atol = atol or {torch.float64: 1e-9, torch.float32: 5e-6}[self.dtype]
        torch.testing.assert_close(ours, theirs.reshape(-1), rtol=rtol, atol=atol, msg=lambda m: f'{key}: {m}')


@pytest.fixture(scope='module', params=CASES, ids='-'.join)
def official(request): return Official(*request.param)

@pytest.fixture(scope='module', params=CASES, ids='-'.join)
def single(request): return Official(*request.param, torch.float32)


def check_forward(o):
    with torch.no_grad(): out = o.model(o.x, o.noise('forward'))
    o.check('f64/logits', out.params)
    for key, ours in dict(kl_all=out.kls, log_q=out.log_q, log_p=out.log_p).items(): o.check(f'f64/{key}', ours)
    log_px = out.px.log_prob(o.x).sum((1, 2))
    o.check('f64/recon_loss', -log_px)
    o.check('f64/nelbo', out.kls.sum(0) - log_px)
    if not o.model.cfg.crop: o.check('f64/log_prob_map', out.px.log_prob(o.x), atol=1e-8 if o.dtype == torch.float64 else 2e-4)

def test_forward(official): check_forward(official)
def test_forward_float32(single): check_forward(single)

def test_forward_with_gradients_enabled(official):
    "The unfolded path that training takes, in eval mode"
    official.check('f64/logits', official.model(official.x, official.noise('forward')).params)

def test_sampling(official):
    official.check('f64/sample_logits_t0.7', official.model.generate(2, 0.7, noise=official.noise('sample')).params)

def test_sampling_float32(single):
    single.check('f64/sample_logits_t0.7', single.model.generate(2, 0.7, noise=single.noise('sample')).params)

def test_importance_weights(official):
    def log_weight(k):
        out = official.model(official.x, official.noise(f'iw{k}'))
        return out.px.log_prob(official.x).sum((1, 2)) - out.log_q + out.log_p
    with torch.no_grad(): weights = torch.stack([log_weight(k) for k in range(3)])
    official.check('f64/iw_log_p_k3', weights.logsumexp(0) - math.log(3))

def test_pixels(official):
    with torch.no_grad(): px = official.model(official.x, official.noise('forward')).px
    if official.model.cfg.likelihood == 'bernoulli': official.check('f64/rec_bernoulli_mean', px.mean); return
    official.check('f64/rec_pixel_mean', px.mean)
    official.check('f64/rec_pixel_sample_t1.0', px.sample(noise=(official['noise/pixel_noise_t1.0/0'], official['noise/pixel_noise_t1.0/1'])))

def test_balancing(official):
    cfg = official.model.cfg
    official.check('alpha/square', torch.tensor(balancing_alpha(cfg), dtype=torch.float64), rtol=1e-6)
    with torch.no_grad(): kls = official.model(official.x, official.noise('forward')).kls
    official.check('f64/balanced_kl_coeff0.5', balance(kls, cfg, 0.5))

def seeded_penalty(o):
    "The spectral penalty with the stored first vectors"
    penalty = SpectralPenalty(o.model)
    places = {name: (penalty._key(shape), i) for shape, names in penalty.layers.items() for i, name in enumerate(names)}
    ours, buffers = dict(layer_names(o.model)), dict(penalty.named_buffers())
    for j, layers in enumerate(json.loads(str(o.arrays['spectral_layers']))):
        for layer, u in zip(layers, unit(o[f'noise/sr_u0_raw/{j}'])): key, i = places.pop(ours[layer]); buffers[key][i] = u
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
    o = Official(name, form); o.model.train()
    out = o.model(o.x, o.noise('forward')); loss = objective(out, o.x, 0.5, o.model.cfg)
    spectral, bn = seeded_penalty(o)(), bn_penalty(o.model)
    for key, ours in dict(logits=out.params, kl_all=out.kls, recon_loss=loss.recon, norm_loss=spectral, bn_loss=bn).items(): o.check(f'f64/train/{key}', ours)
    total = loss.total + 1e-2 * (spectral + bn)
    o.check('f64/train/loss', total)
    total.backward()
    ours, parameters, buffers = key_map(o.model), dict(o.model.named_parameters()), dict(o.model.named_buffers())
    for key in o.keys('outputs/f64/train/grad_norm/'): o.check(key.removeprefix('outputs/'), parameters[ours[key.rpartition('grad_norm/')[2]]].grad.norm(), rtol=1e-7)
    for key in o.keys('outputs/f64/train/buffer_after/'): o.check(key.removeprefix('outputs/'), buffers[ours[key.rpartition('buffer_after/')[2]]])

@pytest.mark.parametrize('name,form', CASES)
def test_sampling_in_train_mode_updates_batchnorm(name, form):
    o = Official(name, form); o.model.train(); start = {k: b.clone() for k, b in o.model.named_buffers()}
    for k in range(2): o.model.generate(2, 0.7, noise=o.noise(f'readjust{k}'))
    ours, buffers = key_map(o.model), dict(o.model.named_buffers())
    keys = o.keys('outputs/f64/readjust/')
    for key in keys: o.check(key.removeprefix('outputs/'), buffers[ours[key.rpartition('readjust/')[2]]])
    assert any(not torch.equal(start[ours[k.rpartition('readjust/')[2]]], buffers[ours[k.rpartition('readjust/')[2]]]) for k in keys)

def test_likelihoods_alone():
    "The mixture at 8, 5 and 3 bits; the pixel value 254 is left out, where the official code is wrong on purpose"
    o = Official('plain_2scales', dtype=torch.float32)
    for bits in (8, 5, 3):
        x = o[f'noise/dist/x_bits{bits}'] if bits != 8 else o['noise/dist/x8']
        ours = likelihood(o['noise/dist/logits_mix'], ModelConfig(image_size=8, n_bits=bits, n_scales=1)).log_prob(x); theirs = o[f'outputs/dist/mix_log_prob_bits{bits}']
        usable = ~(x * 255).round().eq(254).any(1) if bits == 8 else torch.ones_like(ours, dtype=torch.bool)
        torch.testing.assert_close(ours[usable], theirs[usable], rtol=0, atol=2e-3)
    x = o['noise/dist/x8']; normal = likelihood(o['noise/dist/logits_normal'], ModelConfig(image_size=8, n_scales=1, likelihood='normal'))
    torch.testing.assert_close(normal.log_prob(x), o['outputs/dist/normal_decoder_log_prob'].sum(1), rtol=0, atol=2e-3)
    torch.testing.assert_close(likelihood(o['noise/dist/logits_mix'], ModelConfig(image_size=8, n_scales=1)).mean, o['outputs/dist/mix_mean'], rtol=0, atol=2e-3)
