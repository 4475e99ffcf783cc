"""Parts of the network or of its loss replaced by what others use, at equal CPU time, in the harness of `ablations`.

python docs/variants.py [NAME...]    the runs that nbs/6_results/variants.jsonl lacks, or those of these names, as
`docs/ablations.py` takes them (`make results`)
python docs/variants.py pace         what a training step of each costs: writes variants_pace.jsonl; leave the machine
alone meanwhile
python docs/variants.py pass         the two that pay together, after a whole pass over MNIST, and the network without
them: adds to variants_pass.jsonl what it lacks, from runs below runs/, which an interruption doesn't end"""
import json
import math
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import torch
from ablations import Plan, Table, building, complete, finite, settings, told
from results import PAGE, THREE_EPOCHS, hardware, known
from torch import nn
from torch.nn import functional as F

from nvae.config import configured
from nvae.data.sources import dataloaders
from nvae.evaluation.likelihood import estimate
from nvae.network import normal
from nvae.network.elbo import reconstruction
from nvae.network.fast import FastNVAE, use_fast
from nvae.network.latents import Inferred, LatentGroup
from nvae.network.layers import SkipUp, WNConv2d
from nvae.noise import device_noise
from nvae.runs.folder import open_run, read_metrics
from nvae.training import fit as training
from nvae.training import losses
from nvae.training import objective as objectives
from nvae.training import state as states
from nvae.training.fit import train_pass
from nvae.training.monitor import held_out

LAMBDA, COMPONENTS, DRAWS = 1., 10, 2
WEIGHTED, WEIGHTED_DRAWS = 300, 10  # images, and draws of each, of the importance-weighted likelihood
ROUNDS, STEPS = 10, 10              # of the comparison of pace


class NearestSkipUp(SkipUp):
    "A skip that doubles each pixel, as the cell's other path does: (B, c_in, H, W) → (B, c_out, 2H, 2W)"
    def forward(self, x):
        return F.interpolate(self.conv(x), scale_factor=2, mode='nearest')


def with_nearest_skips(model):
    "Every bilinear skip replaced by a nearest-neighbour one of the same weights"
    for module in model.modules():
        if isinstance(module, SkipUp): module.__class__ = NearestSkipUp


class AdditiveGroup(LatentGroup):
    "A group whose latent is added to the state, after a convolution of its own"
    def merge(self, h, z):
        return h + self.merge_conv(z.to(h.dtype))


def with_additive_merge(model):
    "Every merge by concatenation replaced by a sum"
    for group in model.groups:
        group.__class__ = AdditiveGroup
        group.merge_conv = WNConv2d(group.z_channels, group.merge_conv.out_channels)
    use_fast(model)  # the new convolutions too


class DividedSkip(nn.Module):
    "A cell's skip, divided by a number"
    def __init__(self, skip, factor):
        super().__init__()
        self.skip, self.factor = skip, factor

    def forward(self, x): return self.skip(x) / self.factor


class ScaledCell(nn.Module):
    "skip(x) + scale · gate · body(x), by a cell that computes it with 0.1, fast or plain"
    def __init__(self, cell, scale):
        super().__init__()
        self.cell, self.factor = cell, scale / 0.1
        cell.skip = DividedSkip(cell.skip, self.factor)

    def forward(self, x): return self.factor * self.cell(x)


def with_scaled_branches(model):
    "The factor 0.1 of each residual branch replaced by 1/√L, with L the residual cells of its tower"
    for tower in ((model.pre_process, *model.bottom_up), (*model.top_down, model.post_process)):
        scale = sum(map(len, tower)) ** -0.5
        for cells in tower:
            for i, cell in enumerate(cells): cells[i] = ScaledCell(cell, scale)


def with_softplus():
    "σ is softplus of the head's output, shifted so that 0 still gives 1, in place of exp of a soft-clamped log σ"
    def build(self, mean, raw):
        self.raw_mean, self.raw_log_sigma = normal.precise(mean), normal.precise(raw)
        sigma = F.softplus(self.raw_log_sigma + math.log(math.e - 1)) + 0.01
        torch.distributions.Normal.__init__(self, normal.soft_clamp(self.raw_mean), sigma, validate_args=False)
    return patch.object(normal.Normal, '__init__', build)


def freed(kls):
    "(G, B) KLs; those of a group whose mean is below λ are constants for the gradient, as max(λ, mean) would be"
    return torch.where(kls.mean(1, keepdim=True) < LAMBDA, kls.detach(), kls)


def with_free_bits(balanced=True):
    "λ nats of each group's mean KL over a batch are free, beside balancing or in its place"
    balance = losses.balance
    def weighted(kls, cfg, beta): return balance(freed(kls), cfg, beta) if balanced else beta * freed(kls).sum(0)
    return patch.object(losses, 'balance', weighted)


class MixtureGroup(LatentGroup):
    "The first group, with a learnt mixture of diagonal normals as its prior; the KL is estimated by the draw"
    def add_mixture(self, components, shape):
        "Its parameters: weights equal, standard deviations 1, means drawn with a standard deviation of one half"
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, *shape) / 2)
        self.log_sigmas = nn.Parameter(torch.zeros(components, *shape))

    def log_prior(self, z):
        "log p(z): (B, z, h, w) → (B,) nats"
        parts = normal.Normal(self.means, self.log_sigmas).log_prob(z[:, None]).sum((2, 3, 4))
        return (parts + self.logits.log_softmax(0)).logsumexp(1)

    def infer(self, s, h, eps):
        posterior = self.posterior(s, h, None)
        z = posterior.from_noise(eps)
        log_q, log_p = posterior.log_prob(z).sum((1, 2, 3)), self.log_prior(z)
        return Inferred(z, log_q - log_p, log_q, log_p)


def with_mixture_prior(model, components=COMPONENTS):
    "The standard normal of the coarsest group replaced by a mixture"
    model.groups[0].__class__ = MixtureGroup
    model.groups[0].add_mixture(components, model.cfg.latent_shapes[0])


class DrawnGroup(LatentGroup):
    "A group whose KL, in training, is log q − log p at the draw"
    @property
    def is_exact(self): return super().is_exact and not self.training


class SeveralDraws(FastNVAE):
    "In training an `Output` of DRAWS draws of each image's latents: all images, then all again"
    def forward(self, x, noise=None, seed=None, generator=None):
        if not self.training: return super().forward(x, noise, seed, generator)
        noises = [self._noise(len(x)) for _ in range(DRAWS)]  # the first is what one draw would have
        maps = [s.repeat(DRAWS, 1, 1, 1) for s in self.read(x)]
        return self.answer(maps, [torch.cat(eps) for eps in zip(*noises)])


def with_several_draws(model):
    "The network draws several times in training"
    model.__class__ = SeveralDraws
    for group in model.groups: group.__class__ = DrawnGroup


def importance_weighted(out, x, beta, cfg, kl_weight=1., balancing=True):
    "The loss with the mean of p(x|z) p(z) / q(z|x) over an image's draws inside the logarithm (Burda et al., 2016)"
    kls = out.kls
    draws = kls.shape[1] // len(x)
    recon = reconstruction(out, x.repeat(draws, 1, 1, 1))
    weighted = losses.balance(kls, cfg, beta) if balancing else beta * kls.sum(0)
    log_weights = -(recon + kl_weight * weighted).view(draws, -1)
    total = (math.log(draws) - log_weights.logsumexp(0)).mean()
    return losses.Loss(total, recon, kl=kls.sum(0), kl_per_group=kls.mean(1))


def with_importance_weights(): return patch.object(objectives, 'objective', importance_weighted)


def of_steps(steps):
    "Settings of a run of so many steps in place of 250: its warm-ups and its cosine are as much shorter"
    share = steps / 250
    return f'epochs={share:g} lr_warmup={0.05 * share:g} kl_warmup={0.3 * share:g}'


RUNS = {
    'as it is': Plan(),
    'nearest-neighbour up-skip': Plan(swap=(with_nearest_skips,)),
    'additive merge': Plan(swap=(with_additive_merge,)),
    'branches times 1/√L': Plan(swap=(with_scaled_branches,)),
    'softplus σ': Plan(context=with_softplus),
    'free bits': Plan(context=with_free_bits),
    'free bits, no KL balancing': Plan(context=partial(with_free_bits, balanced=False)),
    'mixture as coarsest prior': Plan(swap=(with_mixture_prior,)),
    'importance weighting': Plan(swap=(with_several_draws,), context=with_importance_weights),
    'importance weighting, fewer steps': Plan(of_steps(190), (with_several_draws,), with_importance_weights)}


def measured(model, test):
    "The bound on held-out images, one draw each, and the importance-weighted likelihood of some"
    noises = lambda n: (device_noise(model, n, 0, k) for k in range(WEIGHTED_DRAWS))
    found = held_out(model, test.split(100))
    with torch.no_grad(): parts = [estimate(model, x, noises(len(x))) for x in test[:WEIGHTED].split(100)]
    log_px = torch.cat([part.log_px for part in parts]).mean().item()
    return dict(told(found), kl_per_group=[finite(kl) for kl in found['kl_per_group']],
                weighted=dict(nats=finite(-log_px), draws=WEIGHTED_DRAWS, images=WEIGHTED))


TABLE = Table('docs/variants.py', RUNS, PAGE / 'variants.jsonl', measured)
PACE = PAGE / 'variants_pace.jsonl'


def beginning(plan, folder):
    "A new run of a plan, in memory"
    cfg = configured('digits', [f'name={len(list(folder.iterdir()))}', *settings(plan, 0)], None)
    with plan.context(), building(plan):
        return states.new_state(cfg, open_run(cfg, folder), dataloaders(cfg, progress=False))


def seconds_of(plan, state, steps):
    "Processor seconds of a step, mean over some"
    with plan.context():
        began = time.process_time()
        for xs in islice(training.rest_of_pass(state), steps): training.train_step(state, xs)
        return (time.process_time() - began) / steps


def measure_pace():
    "Steps of all variants in turn: how many times the seconds of *as it is* in the same round"
    torch.set_num_threads(1)
    plans = {name: plan for name, plan in RUNS.items() if not plan.settings}
    with tempfile.TemporaryDirectory() as folder:
        runs = {name: beginning(plan, Path(folder)) for name, plan in plans.items()}
        rounds = [{name: seconds_of(plan, runs[name], STEPS) for name, plan in plans.items()}
                  for _ in range(ROUNDS + 1)][1:]  # without the first
    told = dict(steps=STEPS, date=f'{datetime.now(UTC):%Y-%m-%d}', hardware=hardware(), torch=torch.__version__)
    for name in plans:
        ratios = [round(seconds[name] / seconds['as it is'], 3) for seconds in rounds]
        step = round(statistics.median(seconds[name] for seconds in rounds), 4)
        yield dict(name=name, command='python docs/variants.py pace', seconds=step, ratios=ratios, **told)


PASS = PAGE / 'variants_pass.jsonl'
PASSES = {'pass-as-it-is': (), 'pass-with-both': (with_nearest_skips, with_scaled_branches)}


class Enough(Exception):
    "The pass that is measured has ended"


def first_pass_only(state, stops, watch):
    "`train_pass`, of the first pass over the data"
    if state.progress.epoch >= 1: raise Enough
    train_pass(state, stops, watch)


def after_a_pass(name, swaps):
    "The held-out bound of the network of `digits` after the first of three passes, trained as `results` does"
    cfg = configured('digits', [*THREE_EPOCHS.split(), f'name={name}'], None)
    run = open_run(cfg, Path('runs'))
    with building(Plan(swap=swaps)), patch.object(training, 'train_pass', first_pass_only), suppress(Enough):
        training.fit(cfg, run)
    record = next(r for r in read_metrics(run.metrics) if r['kind'] == 'test' and r['epoch'] == 1)
    return dict(name=name, command='python docs/variants.py pass', steps=record['step'], images=record['images'],
                **told(record), date=f'{datetime.now(UTC):%Y-%m-%d}', hardware=hardware(), torch=torch.__version__)


def main(names):
    if names == ['pace']:
        lines = [json.dumps(line, ensure_ascii=False) + '\n' for line in measure_pace()]
        PACE.write_text(''.join(lines), encoding='utf-8')
    elif names == ['pass']:
        torch.set_num_threads(1)
        for name in [name for name in PASSES if name not in known(PASS, 'name')]:
            with open(PASS, 'a', encoding='utf-8') as f: f.write(json.dumps(after_a_pass(name, PASSES[name])) + '\n')
    else:
        complete(TABLE, names)


if __name__ == '__main__': main(sys.argv[1:])
