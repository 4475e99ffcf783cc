"""One piece of a small NVAE changed at a time, three seeds of each: writes nbs/6_results/ablations.jsonl, a line a run.

python docs/ablations.py [NAME...]    the runs that the file lacks, or those of these names, in a folder whose
dataset/mnist holds MNIST (`make results`); a NAME is one of RUNS, or that and its seed ('no soft clamp, seed 1')"""
import json
import math
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import torch
from results import PAGE, hardware
from torch import nn
from torch.nn import functional as F

from nvae.config import configured
from nvae.data.sources import dataloaders
from nvae.network import normal
from nvae.network.cells import BottomUpCell, Cell, TopDownCell
from nvae.network.cost import n_parameters
from nvae.network.fast import use_plain
from nvae.network.layers import BatchNorm, BatchNormSwish, initial_log_norm
from nvae.noise import seeded
from nvae.runs.folder import open_run, read_metrics
from nvae.training import fit as training
from nvae.training import losses
from nvae.training import state as states
from nvae.training.monitor import held_out
from nvae.training.objective import NAMES

MEASURED = PAGE / 'ablations.jsonl'
SEEDS, HELD_OUT, ELSEWHERE = range(3), 1000, 100
NETWORK = 'channels=8 n_groups=3 n_pre_blocks=2'  # of `digits`, thinned
SHORT = 'n_valid=null n_test=1000 batch_size=16 epochs=1 lr_warmup=0.05 kl_warmup=0.3 ema_decay=0.98'
BASE = f'{NETWORK} {SHORT} n_train=4000 spectral_lambda=0.01 eval_images=64 tracker=none'
# without clipping, which would act against bad steps too
HIGH = f'{BASE} n_train=1280 grad_clip=null checkpoint_every=0.25'


class Scaled(nn.Module):
    "What BatchNorm does after it has normalised: a factor and a shift per channel, (B, C, H, W) → the same shape"
    def __init__(self, channels, swish):
        super().__init__()
        self.swish = swish
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        scaled = x * self.weight[:, None, None] + self.bias[:, None, None]
        return F.silu(scaled) if self.swish else scaled


class RegularCell(Cell):
    "A top-down cell of two regular 3×3 convolutions, as many parameters as the depthwise one that it replaces"
    def __init__(self, cell:TopDownCell):
        c_in, c_out = cell.expand.in_channels, cell.contract.out_channels
        super().__init__(c_in, c_out, 'up' if cell.up else 'keep', squeeze_excitation=cell.se is not None)
        inside = nn.ModuleList([cell.norm1, cell.expand, cell.norm2, cell.depthwise, cell.norm3, cell.contract])
        middle = round((n_parameters(inside) - 2 * c_in) / (9 * (c_in + c_out) + 2))
        self.up = cell.up
        self.norm1, self.conv1 = BatchNormSwish(c_in), nn.Conv2d(c_in, middle, 3, padding=1, bias=False)
        self.norm2, self.conv2 = BatchNormSwish(middle), nn.Conv2d(middle, c_out, 3, padding=1, bias=False)
        self.norm3 = BatchNorm(c_out)

    def body(self, x):
        if self.up: x = F.interpolate(x, scale_factor=2, mode='nearest')
        return self.norm3(self.conv2(self.norm2(self.conv1(self.norm1(x)))))


def convolutions(cell):
    "Those on a cell's way past the skip"
    names = ('conv1', 'conv2') if isinstance(cell, BottomUpCell) else ('expand', 'depthwise', 'contract')
    return [getattr(cell, name) for name in names]


def cells_of(model): return [m for m in model.modules() if isinstance(m, BottomUpCell | TopDownCell)]


def he(model):
    "The cells' convolutions drawn anew as He et al. (2015) do, so that activations keep their size without BatchNorm"
    for conv in (conv for cell in cells_of(model) for conv in convolutions(cell)):
        nn.init.kaiming_normal_(conv.weight, nonlinearity='relu')
        if conv.bias is not None: nn.init.zeros_(conv.bias)
        if hasattr(conv, 'log_weight_norm'): conv.log_weight_norm.data.copy_(initial_log_norm(conv.weight.detach()))
    return model


def without_norm(model):
    "Every BatchNorm replaced by its factor and shift"
    use_plain(model)  # the fast cells compute BatchNorm themselves
    for cell in cells_of(model):
        for name, part in list(cell.named_children()):
            if isinstance(part, BatchNorm):
                setattr(cell, name, Scaled(part.num_features, isinstance(part, BatchNormSwish)))
    return model


def with_regular_cells(model):
    "Every top-down cell replaced by a regular one"
    for cells in (*model.top_down, model.post_process):
        for i, cell in enumerate(cells): cells[i] = RegularCell(cell)
    return model


def without_clamp(): return patch.object(normal, 'soft_clamp', lambda v: v)


def without_warmup():
    "β is 1 from the first step on, while balancing goes on for the steps that a warm-up would take"
    def balance(kls, cfg, beta): return (kls if beta >= 1 else losses.balancing_gamma(kls, cfg)[:, None] * kls).sum(0)
    return patch.object(losses, 'balance', balance)


class Steps(list):
    "The loss of each step that was taken, and the KL at the last one before β is 1"
    last: dict | None = None

    def watching(self, take):
        "`take_step`, writing down what it is given"
        def taken(state, numbers):
            found, weights = dict(zip(NAMES, numbers)), state.weights
            self.append(found['loss'])
            if weights['beta'] < 1:
                self.last = dict(beta=weights['beta'], kl=found['kl'], weighted=weighted_kl(found, weights))
            take(state, numbers)
        return taken

    @property
    def spikes(self):
        "Steps whose loss is more than one and a half times the median of the ten before them"
        return sum(loss > 1.5 * statistics.median(self[i - 10:i]) for i, loss in enumerate(self) if i >= 10)


def weighted_kl(found, weights):
    "What a step's loss has of the KL"
    penalties = weights['spectral_weight'] * found['spectral'] + weights['bn_weight'] * found['bn']
    return found['loss'] - found['recon'] - penalties


class Plan(NamedTuple):
    "What is changed"
    settings: str = ''          # of `--set`, blanks between them
    swap: tuple = ()            # functions of the built network, in order
    context: object = nullcontext
    base: str = BASE


RUNS = {
    'as it is': Plan(),
    'no KL warm-up': Plan(context=without_warmup),
    'no KL balancing': Plan('kl_balancing=false'),
    'no KL warm-up, no balancing': Plan('kl_warmup=0 kl_balancing=false'),
    'no squeeze-and-excitation': Plan('squeeze_excitation=false'),
    'flows in the posterior': Plan('n_flows=1'),
    'no BatchNorm, He': Plan(swap=(he, without_norm)),
    'BatchNorm, He': Plan(swap=(he,)),
    'no residual posterior': Plan('residual_posterior=false'),
    'regular convolutions in the decoder': Plan(swap=(with_regular_cells,)),
    'no spectral regularisation': Plan('spectral_lambda=0'),
    'no soft clamp': Plan(context=without_clamp)}
for rate in (.1, .03):
    for clamp, context in (('', nullcontext), (', no soft clamp', without_clamp)):
        for spectral, setting in (('', ''), (', no spectral regularisation', ' spectral_lambda=0')):
            RUNS[f'rate {rate}{spectral}{clamp}'] = Plan(f'lr={rate}{setting}', context=context, base=HIGH)
RUNS['no BatchNorm, as initialised'] = Plan(swap=(without_norm,))


def settings(plan, seed):
    "Of `--set`, later ones winning"
    words = f'{plan.base} {plan.settings} seed={seed}'.split()
    return [f'{key}={value}' for key, value in dict(word.split('=') for word in words).items()]


def swapped(build, plan, *args):
    "`new_network`, then the plan's changes; the random state is afterwards what it would be without them"
    model, before = build(*args), torch.get_rng_state()
    for swap in plan.swap: swap(model)
    torch.set_rng_state(before)
    return model.to(args[1].device)


def padded(images): return F.pad(images, (2, 2, 2, 2))


def finite(nats): return round(nats, 3) if math.isfinite(nats) else None


def told(found):
    "What is kept of a measurement on some images: nats per image"
    return {key: finite(found[key]) for key in ('nelbo', 'recon', 'kl')}


def measured(model, test):
    "The bound on held-out images and on images from elsewhere, one draw each, of the same noise for every network"
    inside = test[:ELSEWHERE, :, 2:-2, 2:-2]
    noise = torch.randint(2, inside.shape, generator=seeded(0)).float()
    bound = lambda images: held_out(model, images.split(100))
    found = bound(test)
    elsewhere = dict(usual=inside, noise=noise, inverted=1 - inside)
    return dict(told(found), kl_per_group=[finite(kl) for kl in found['kl_per_group']],
                elsewhere={name: told(bound(padded(images))) for name, images in elsewhere.items()})


class Table(NamedTuple):
    "The runs of a script, and where their records go"
    script: str
    plans: dict         # name → Plan
    file: Path
    measured: Callable  # (model, held-out images) → a part of the record


TABLE = Table('docs/ablations.py', RUNS, MEASURED, measured)


def building(plan):
    "A context in which a new state has the network of a plan"
    return patch.object(states, 'new_network', partial(swapped, states.new_network, plan))


def measure(table, name, seed, runs):
    "Train; the record of it"
    plan, steps = table.plans[name], Steps()
    cfg = configured('digits', [f'name={len(list(runs.iterdir()))}', *settings(plan, seed)], None)
    loaders, run, began = dataloaders(cfg, progress=False), open_run(cfg, runs), time.process_time()
    end, found, model = 'done', {}, None
    swaps = dict(take_step=steps.watching(training.take_step), preview=lambda *a: None)  # pictures aren't looked at
    with plan.context(), building(plan), patch.multiple(training, **swaps):
        try:
            model = training.fit(cfg, run, loaders)
        except training.TrainingFailed as e:
            end = str(e)
        seconds = time.process_time() - began
        if model is not None: found = table.measured(model, torch.cat(list(loaders.test.batches()))[:HELD_OUT])
    events = [r['message'] for r in read_metrics(run.metrics) if r['kind'] == 'event']
    return dict(
        name=name, seed=seed, command=shlex.join(['python', table.script, f'{name}, seed {seed}']),
        settings=' '.join(settings(plan, seed)), date=f'{datetime.now(UTC):%Y-%m-%d}', hardware=hardware(),
        torch=torch.__version__, parameters=model and n_parameters(model),
        steps=round(cfg.train.epochs * len(loaders.train)), cpu_seconds=round(seconds, 1), end=end, spikes=steps.spikes,
        skipped=sum(event.endswith(': skipped') for event in events),
        rolled_back=sum(': back to step' in event for event in events), before_beta_1=steps.last,
        test_images=HELD_OUT, elsewhere_images=ELSEWHERE, **found)


def known(table):
    "(name, seed) of what is measured already"
    if not table.file.exists(): return []
    records = map(json.loads, table.file.read_text(encoding='utf-8').splitlines())
    return [(record['name'], record['seed']) for record in records]


def asked(table, names):
    "(name, seed) of some names, of all that is lacking without any"
    every = [(name, seed) for name in table.plans for seed in SEEDS]
    if not names: return [run for run in every if run not in known(table)]
    return [(name, seed) for name, seed in every if name in names or f'{name}, seed {seed}' in names]


def complete(table, names):
    "Measure what is asked for, and add it to the table's file"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name, seed in asked(table, names):
            record = measure(table, name, seed, Path(folder))
            with open(table.file, 'a', encoding='utf-8') as f: f.write(json.dumps(record, ensure_ascii=False) + '\n')
            print(name, seed, record.get('nelbo'), 'nats', record['cpu_seconds'], 's', record['end'], flush=True)


if __name__ == '__main__': complete(TABLE, sys.argv[1:])
