"""Does the kit work on this device, and how fast? One JSON, at most four minutes.

    python tests/gpu/report.py [--only PART]... [--device cpu] [--seconds 240] [--out device_report.json]

Every part is tried by itself: what fails is printed, kept in the JSON with its traceback, and the others go on.
The file is written anew after each part. Exit code 1 when any part failed."""
import argparse
import json
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nvae.bench import processor, rate, repeat
from nvae.config import Config, load_config
from nvae.data.batches import Batches, Loaders, loaders_from
from nvae.data.faces import draw_faces
from nvae.data.images import recolour
from nvae.interop import from_official, key_map, layer_names
from nvae.network.cost import n_parameters
from nvae.network.fast import use_fast
from nvae.network.model import NVAE
from nvae.noise import own_generators
from nvae.runs.checkpoint import load_model, read_checkpoint
from nvae.runs.folder import RunDir, open_run, read_metrics
from nvae.sampling.sample import sample_images
from nvae.training.distributed import PooledNorm
from nvae.training.fit import Interrupted, fit, train_step
from nvae.training.losses import objective
from nvae.training.monitor import held_out
from nvae.training.spectral import SpectralPenalty, bn_penalty, unit
from nvae.training.state import new_state

TOLERANCE = 1e-4  # of float32 without TF32, relative to the largest number of a tensor
MEASURED = 'quickstart', 'cifar10_1gpu', 'big_logistic_mixture20latentnoflows'
SMALL = dict(
    model=dict(image_size=32, n_bits=5, n_scales=2, n_groups=2, z_channels=4, channels=8, n_pre_blocks=1, n_pre_cells=1,
               n_post_cells=1, enc_cells=1, dec_cells=1, n_mix=3),
    train=dict(epochs=1, batch_size=8, lr=0.01, lr_warmup=0.1, kl_warmup=0.5, ema_decay=0.9, tracker='none',
               checkpoint_every=10, eval_every=10, preview_every=10))
STEPS = 50


# ---------------------------------------------------------------------------------------------------- small helpers

def relative(ours, theirs):
    "Largest difference, as a share of the largest number"
    ours, theirs = ours.detach().double().cpu().flatten(), theirs.detach().double().cpu().flatten()
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-30))


def small(name, steps=STEPS, **train):
    "A configuration of seconds, of so many steps"
    return Config.from_dict(dict(name=name, model=SMALL['model'], train={**SMALL['train'], **train}))


def faces(n, first=0):
    "uint8 (n, 3, 32, 32)"
    return recolour(draw_faces(range(first, first + n), (32, 32), 0)[0], 3)


def face_loaders(cfg, steps=STEPS):
    "So many steps to a pass, and sixteen faces held out"
    return loaders_from(cfg, faces(steps * cfg.train.batch_size), faces(16, 10 ** 6))


def trained(folder, cfg, loaders=None, watch=None):
    "A run's folder, after `fit`"
    fit(cfg, open_run(cfg, folder), loaders or face_loaders(cfg), watch)
    return RunDir(Path(folder) / cfg.name)


def losses(run):
    "(step, nats) of the training records"
    return [(r['step'], r['loss']) for r in read_metrics(run.metrics) if r['kind'] == 'train']


def weights_apart(a, b):
    "Largest relative difference between two state dicts, and where"
    apart = {k: relative(a[k], b[k]) for k in a if a[k].is_floating_point() and a[k].numel()}
    worst = max(apart, key=apart.get)
    middle = statistics.median(apart.values())
    return dict(largest=apart[worst], where=worst, median=middle, equal=not any(apart.values()))


@contextmanager
def arithmetic(tf32=False, deterministic=False):
    "Whether float32 products may be TF32, and whether kernels must give the same bits each time"
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, torch.are_deterministic_algorithms_enabled()
    matmul.allow_tf32 = cudnn.allow_tf32 = tf32
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, were = before
        torch.use_deterministic_algorithms(were)


# -------------------------------------------------------------------------------------------------- parts: the card

def card(device, seconds):
    "Names, versions, and the measured rates that the speeds are compared with"
    found = dict(torch=torch.__version__, python=platform.python_version(), cores=os.cpu_count(), device=processor())
    if device.type == 'cuda':
        p = torch.cuda.get_device_properties(device)
        found.update(device=p.name, memory_mib=p.total_memory >> 20, multiprocessors=p.multi_processor_count,
                     cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version(), driver=driver())
    return dict(**found, **rates(device), passed=True)


def driver():
    "The driver's version, as nvidia-smi says it"
    command = ['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader']
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None


def rates(device):
    "TFLOP/s of a matrix product, per arithmetic, and TB/s of a copy (bytes read and written)"
    n = 8192 if device.type == 'cuda' else 1024
    kinds = dict(float32=(torch.float32, False), tf32=(torch.float32, True), bfloat16=(torch.bfloat16, True),
                 float16=(torch.float16, True))
    found = {}
    for kind, (dtype, tf32) in kinds.items():
        if device.type == 'cpu' and kind == 'float16':
            continue
        a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
        with arithmetic(tf32):
            times = repeat(lambda: a @ b, device, 3, 10, 2.)
        found[f'{kind}_tflops'] = rate(times, 2 * n ** 3 / 1e12)['median']
    source = torch.randn((2 ** 30 if device.type == 'cuda' else 2 ** 26) // 4, device=device)
    target = torch.empty_like(source)
    times = repeat(lambda: target.copy_(source), device, 3, 10, 2.)
    found['copy_tbytes'] = rate(times, 2 * 4 * source.numel() / 1e12)['median']
    return found


# --------------------------------------------------------------------------------- parts: the same numbers as elsewhere

class Official:
    "One fixture of the official network's numbers: the model with its weights, and the stored tensors"
    def __init__(self, path, device):
        self.arrays, self.device = dict(np.load(path)), device
        weights = {k.removeprefix('state_dict/'): torch.from_numpy(v) for k, v in self.arrays.items()
                   if k.startswith('state_dict/')}
        self.model = use_fast(from_official(weights, json.loads(str(self.arrays['args']))).float().to(device))
        self.x = self['inputs/x']

    def __getitem__(self, key): return torch.from_numpy(self.arrays[key]).float().to(self.device)

    def noise(self, kind): return [self[f'noise/{kind}/{g}'] for g in range(len(self.model.groups))]

    def apart(self, key, ours):
        "Relative difference from an output, which may be stored thinned"
        theirs, ours = self[f'outputs/f64/{key}'].flatten(), ours.detach().flatten()
        return relative(ours[::-(-ours.numel() // 1500)] if ours.numel() != theirs.numel() else ours, theirs)


def seeded_penalty(o):
    "The spectral penalty with the stored first vectors"
    penalty = SpectralPenalty(o.model).to(o.device)
    places = {name: (f'u_{shape}', i) for shape, names in penalty.layers.items() for i, name in enumerate(names)}
    ours, buffers = dict(layer_names(o.model)), dict(penalty.named_buffers())
    for j, layers in enumerate(json.loads(str(o.arrays['spectral_layers']))):
        for layer, u in zip(layers, unit(o[f'noise/sr_u0_raw/{j}'])):
            key, i = places.pop(ours[layer])
            buffers[key][i] = u
    return penalty


def evaluated(o):
    "Differences in evaluation mode: forward, sampling, importance weights"
    with torch.no_grad():
        out = o.model(o.x, o.noise('forward'))
        recon = -out.px.log_prob(o.x).sum((1, 2))
        draws = [o.model(o.x, o.noise(f'iw{k}')) for k in range(3)]
        log_weights = torch.stack([d.px.log_prob(o.x).sum((1, 2)) - d.log_q + d.log_p for d in draws])
        sampled = o.model.generate(2, 0.7, noise=o.noise('sample')).params
    ours = dict(logits=out.params, kl_all=out.kls, log_q=out.log_q, log_p=out.log_p, recon_loss=recon,
                nelbo=out.kls.sum(0) + recon, iw_log_p_k3=log_weights.logsumexp(0) - math.log(3))
    return {k: o.apart(k, v) for k, v in ours.items()} | {'sample': o.apart('sample_logits_t0.7', sampled)}


def stepped(o):
    "Differences of one training step: loss, penalties, gradients' norms, BatchNorm's statistics"
    o.model.train()
    out = o.model(o.x, o.noise('forward'))
    loss, spectral, bn = objective(out, o.x, 0.5, o.model.cfg), seeded_penalty(o)(), bn_penalty(o.model)
    total = loss.total + 1e-2 * (spectral + bn)
    total.backward()
    ours = dict(logits=out.params, kl_all=out.kls, recon_loss=loss.recon, norm_loss=spectral, bn_loss=bn, loss=total)
    found = {f'train/{k}': o.apart(f'train/{k}', v) for k, v in ours.items()}
    names, parameters = key_map(o.model), dict(o.model.named_parameters())
    buffers = dict(o.model.named_buffers())
    gradients = stored_norms(o, 'grad_norm', names, lambda k: parameters[k].grad.norm())
    largest = max(theirs for theirs, _ in gradients.values())
    found['train/gradients'] = max(abs(ours - theirs) for theirs, ours in gradients.values()) / largest
    kept = [k for k in o.arrays if k.startswith('outputs/f64/train/buffer_after/')]
    found['train/statistics'] = max(o.apart(k.removeprefix('outputs/f64/'), buffers[names[k.rpartition('/')[2]]])
                                    for k in kept)
    return found


def stored_norms(o, kind, names, ours):
    "(theirs, ours) by key"
    keys = [k for k in o.arrays if k.startswith(f'outputs/f64/train/{kind}/')]
    return {k: (float(o.arrays[k]), float(ours(names[k.rpartition('/')[2]]))) for k in keys}


def parity(device, seconds, folder):
    "The official network's numbers in float32: without TF32 they have to agree; with it, how far they are"
    paths = sorted(Path(folder).glob('*.npz'))
    if not paths:
        raise FileNotFoundError(f'no fixtures in {folder}: name their folder with --parity')
    found = {}
    for kind, tf32 in dict(float32=False, tf32=True).items():
        with arithmetic(tf32):
            found[kind] = {p.stem: {**evaluated(Official(p, device)), **stepped(Official(p, device))} for p in paths}
    worst = {kind: max(v for f in fixtures.values() for v in f.values()) for kind, fixtures in found.items()}
    return dict(**found, worst=worst, tolerance=TOLERANCE, passed=worst['float32'] <= TOLERANCE)


def generate(device, seconds, model):
    "The same seed gives the CPU's images, to rounding: one batch as it is, and one with re-estimated statistics"
    images = {}
    for place in (torch.device('cpu'), device):
        network = load_model(model, place)
        images[place.type] = [network.generate(9, 0.7, seed=0).px.mean.cpu(), sample_images(network, 9, 0.7, 2).cpu()]
    found = {}
    for kind, tf32 in dict(float32=False, default=True).items():
        with arithmetic(tf32):
            network = load_model(model, device)
            now = [network.generate(9, 0.7, seed=0).px.mean.cpu(), sample_images(network, 9, 0.7, 2).cpu()]
        found[kind] = [float((a - b).abs().max()) for a, b in zip(now, images['cpu'])]
    return dict(largest_difference=found, tolerance=1e-3, passed=max(found['float32']) <= 1e-3)


# ------------------------------------------------------------------------------------------------- parts: training

def steps(device, seconds, folder):
    "Fifty steps in every precision, with and without gradient checkpointing"
    found = {}
    for precision in ('float32', 'bfloat16', 'float16'):
        for recompute in (False, True):
            name = f"{precision}{'-recomputed' if recompute else ''}"
            cfg = small(name, precision=precision, gradient_checkpointing=recompute, ema_decay=0)
            run = trained(folder, cfg)
            first, last = losses(run)[0][1], losses(run)[-1][1]
            c = read_checkpoint(run.checkpoint)
            events = [r['message'] for r in read_metrics(run.metrics) if r['kind'] == 'event']
            facts = c['facts']
            found[name] = dict(used=facts['precision'], first=first, last=last, held_out=facts['held_out_nelbo'],
                               scale=c['scaler'] and c['scaler']['scale'], events=events,
                               passed=last < first and not events)
    return dict(**found, passed=all(f['passed'] for f in found.values()))


def checkpointing(device, seconds):
    "Gradient checkpointing: the same gradients, less memory"
    cfg, gradients, peaks = small('checkpointing'), {}, {}
    x = torch.from_numpy(np.asarray(faces(64))).float().to(device) / 255
    with arithmetic(False, deterministic=True):
        for recompute in (False, True):
            torch.manual_seed(0)
            model = use_fast(NVAE(cfg)).to(device).train()
            model.gradient_checkpointing = recompute
            forget_peak(device)
            objective(model(x, seed=0), x, 1., cfg.model).total.backward()
            peaks[recompute] = peak(device)
            gradients[recompute] = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    apart = weights_apart(gradients[False], gradients[True])
    return dict(apart=apart, peak_mib=[peaks[False], peaks[True]], passed=apart['largest'] < TOLERANCE)


def pooled_norm(device, seconds):
    "BatchNorm over all processes, in a group of one, against PyTorch's"
    x = torch.randn(8, 12, 16, 16, device=device)
    scale, shift = torch.rand(12, device=device), torch.randn(12, device=device)
    g, eps = torch.randn_like(x), 1e-5
    functions = dict(ours=lambda a, w, b: PooledNorm.apply(a, w, b, eps)[0],
                     theirs=lambda a, w, b: F.batch_norm(a, None, None, w, b, True, 0., eps))
    results, backend = {}, 'nccl' if device.type == 'cuda' else 'gloo'
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(backend, init_method=f'file://{folder}/meet', rank=0, world_size=1)
        try:
            for kind, f in functions.items():
                leaves = [t.clone().requires_grad_() for t in (x, scale, shift)]
                y = f(*leaves)
                y.backward(g)
                results[kind] = [y, *(t.grad for t in leaves)]
        finally:
            dist.destroy_process_group()
    apart = dict(zip(('y', 'x.grad', 'weight.grad', 'bias.grad'), map(relative, results['ours'], results['theirs'])))
    return dict(backend=backend, apart=apart, passed=max(apart.values()) < TOLERANCE)


def average(device, seconds, folder):
    "The moving average against the recursion by hand, and the file that holds it"
    cfg = small('average', lr_warmup=0)
    by_hand, decay = None, cfg.train.ema_decay
    with own_generators():
        state = new_state(cfg, open_run(cfg, folder), face_loaders(cfg))
        for n, x in enumerate(islice(state.loaders.train.batches(0), 10)):
            train_step(state, [x])
            weights, d = [p.detach().clone() for p in state.model.parameters()], min(decay, (1 + n) / (10 + n))
            by_hand = weights if by_hand is None else [d * a + (1 - d) * w for a, w in zip(by_hand, weights)]
    apart = max(map(relative, state.ema.module.parameters(), by_hand))
    run = trained(folder, small('averaged'))
    model = load_model(run.model, device)
    with own_generators():
        again = held_out(model, face_loaders(cfg).test.batches(), cfg.train.seed)['nelbo']
    kept = model.facts['held_out_nelbo']
    return dict(apart=apart, held_out=[kept, again], passed=apart < 1e-5 and abs(again / kept - 1) < 1e-3)


def interrupt_at(step):
    "A watcher that presses Ctrl-C once"
    pressed = []

    def watch(status, records, last=False):
        watch.calls += 1
        if watch.calls == step and not pressed:
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGINT)
    watch.calls = 0
    return watch


def resume(device, seconds, folder):
    "A run that was stopped in mid-epoch against two that weren't, which say how far the device repeats itself"
    with arithmetic(False, deterministic=True):
        straight, again = (trained(folder, small(name)) for name in ('straight', 'again'))
        cfg = small('stopped')
        try:
            trained(folder, cfg, watch=interrupt_at(20))
            raise AssertionError('the run went on after Ctrl-C')
        except Interrupted as e:
            said = str(e)
        stopped = trained(folder, cfg)
    a, b, c = (read_checkpoint(r.checkpoint) for r in (straight, again, stopped))
    itself, resumed = weights_apart(a['model'], b['model']), weights_apart(a['model'], c['model'])
    same_place = all(a['progress'][k] == c['progress'][k] for k in ('step', 'epoch', 'batch'))
    passed = same_place and (resumed['equal'] or resumed['largest'] <= max(1e-3, 10 * itself['largest']))
    return dict(said=said, uninterrupted_twice=itself, resumed=resumed, same_place=same_place, passed=passed)


class Spoilt(Batches):
    "Batches of which three in a row hold a NaN, once"
    left, first = 3, 10

    def batch(self, epoch=0, step=0):
        x = super().batch(epoch, step)
        if self.left and step >= self.first:
            self.left -= 1
            x[0, 0, 0, 0] = math.nan
        return x


def rollback(device, seconds, folder):
    "Three bad steps in a row: back to the last checkpoint with half the rate, and on to the end"
    cfg = small('rollback', ema_decay=0, checkpoint_every=0.1)
    good = face_loaders(cfg)
    run = trained(folder, cfg, Loaders(Spoilt(good.train.pixels, cfg, True), good.test, good.info))
    events = [r['message'] for r in read_metrics(run.metrics) if r['kind'] == 'event']
    c = read_checkpoint(run.checkpoint)
    finite = all(v.isfinite().all() for v in c['model'].values())
    went_back = any('with half the learning rate' in e for e in events)
    return dict(events=events, halvings=c['progress']['halvings'], finite=finite,
                passed=went_back and finite and c['progress']['halvings'] == 1)


# ------------------------------------------------------------------------------------------------ parts: how fast

class Counted(TorchDispatchMode):
    "What is done inside: floating-point operations of products and convolutions; bytes read and written, views free"
    def __init__(self):
        super().__init__()
        self.flops, self.bytes = 0, 0

    def __torch_dispatch__(self, f, types, args=(), kwargs=None):
        out = f(*args, **(kwargs or {}))
        self.flops += operations(f, args, out)
        if not f.is_view:
            self.bytes += sum(t.numel() * t.element_size() for t in tree_leaves((args, kwargs, out))
                              if isinstance(t, torch.Tensor))
        return out


def operations(f, args, out):
    "Of a product or a convolution; PyTorch's own counter takes a depthwise filter's gradient for a full one"
    aten, kind = torch.ops.aten, f.overloadpacket
    if kind in (aten.mm, aten.bmm):
        return 2 * out.numel() * args[0].shape[-1]
    if kind in (aten.addmm, aten.baddbmm):
        return 2 * out.numel() * args[1].shape[-1]
    if kind is aten.convolution:
        return 2 * out.numel() * args[1][0].numel()
    if kind is aten.convolution_backward:
        return 2 * args[0].numel() * args[2][0].numel() * sum(args[-1][:2])
    return 0


def counted(f):
    "Floating-point operations and bytes of one call"
    with Counted() as c:
        f()
    return c.flops, c.bytes


def forget_peak(device):
    if device.type == 'cuda':
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak(device):
    "MiB of tensors at once; None on a CPU, which doesn't count them"
    return torch.cuda.max_memory_allocated(device) / 2 ** 20 if device.type == 'cuda' else None


def shares(found, amounts, seconds_each, measured, product):
    "A time as a fraction of what the card's rates allow"
    flops, traffic = amounts
    found.update(tflop=flops / 1e12, gbytes=traffic / 1e9)
    if measured.get(f'{product}_tflops'):
        found['of_matrix_rate'] = flops / 1e12 / seconds_each / measured[f'{product}_tflops']
        found['of_copy_rate'] = traffic / 1e12 / seconds_each / measured['copy_tbytes']
    return found


def bench_config(name, batch_size, **train):
    "A configuration for timing: nothing written, no average saved"
    cfg = load_config(name)
    return Config.from_dict({**cfg.to_dict(), 'train': {**cfg.train.model_dump(mode='json'), 'batch_size': batch_size,
                                                        'tracker': 'none', **train}})


def ready_state(cfg, folder, device):
    "A run at its first step, and a batch that is on the device already"
    shape = 2 * cfg.train.batch_size, cfg.model.image_channels, *cfg.model.size
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    state = new_state(cfg, RunDir(Path(folder) / cfg.name), loaders_from(cfg, images, images[:cfg.train.batch_size]))
    return state, [images[:cfg.train.batch_size].float().to(device) / 255]


def timed_training(cfg, device, folder, measured, compiled=False):
    "Images per second, peak memory and shares of the card's rates, of the whole guarded step"
    forget_peak(device)
    state, batch = ready_state(cfg, folder, device)
    step = partial(train_step, state, batch)
    found = {}
    if compiled:
        begun = time.monotonic()
        torch._dynamo.config.recompile_limit = 64
        state.model.compile()
        step()
        step()
        found['compile_seconds'] = time.monotonic() - begun
    else:
        step()
        amounts = counted(step)
    times = repeat(step, device, 2, 20, 1.5)
    found.update(rate(times, cfg.train.batch_size), batch_size=cfg.train.batch_size, precision=state.precision,
                 step_ms=1000 * statistics.median(times), peak_mib=peak(device))
    product = {'float32': 'tf32'}.get(state.precision, state.precision)
    return found if compiled else shares(found, amounts, statistics.median(times), measured, product)


def training(device, seconds, folder, measured, sizes, keep):
    "Speed and memory of training by batch size and precision, eager"
    found, until = {}, time.monotonic() + seconds
    with own_generators():
        for name in MEASURED:
            rows = found[name] = []
            with torch.device('meta'):
                rows.append(dict(parameters=n_parameters(NVAE(load_config(name)))))
            for precision in ('float32', 'bfloat16'):
                for size in sizes:
                    if time.monotonic() > until - 3:
                        rows.append(dict(batch_size=size, precision=precision, skipped='no time left'))
                        continue
                    try:
                        cfg = bench_config(name, size, precision=precision)
                        rows.append(timed_training(cfg, device, folder, measured))
                    except torch.OutOfMemoryError as e:
                        rows.append(dict(batch_size=size, precision=precision, failed=str(e).split('\n')[0]))
                    keep(found)
    return dict(**found, passed=True)


def compile_training(device, seconds, folder, size, config):
    "A configuration through torch.compile, against eager"
    found = {}
    with own_generators():
        for precision in ('float32', 'bfloat16'):
            cfg = bench_config(config, size, precision=precision)
            eager, fast = (timed_training(cfg, device, folder, {}, compiled) for compiled in (False, True))
            found[precision] = dict(eager=eager, compiled=fast, times_as_fast=fast['median'] / eager['median'])
    return dict(**found, passed=True)


def graphed(model, noise, temperature):
    "(replay, the images it leaves): the walk down and its images as one CUDA graph"
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            _ = model.generate(temperature=temperature, noise=noise).px.mean
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        images = model.generate(temperature=temperature, noise=noise).px.mean
    return graph.replay, images


def sampling(device, seconds, measured, keep):
    "One grid of nine and a batch of 64 at temperature 0.7, with and without CUDA graphs"
    found = {}
    for name in MEASURED:
        cfg = load_config(name)
        model = use_fast(NVAE(cfg)).eval().to(device, memory_format=torch.channels_last)
        rows = found[name] = []
        for n in (9, 64):
            noise = [torch.randn(n, *s, device=device) for s in cfg.model.latent_shapes]
            draw = partial(model.generate, temperature=0.7, noise=noise)
            amounts = counted(draw)
            times = repeat(lambda: draw().px.mean, device, 2, 20, 1.)
            row = dict(n_images=n, eager=rate(times, n), eager_ms=1000 * statistics.median(times))
            shares(row, amounts, statistics.median(times), measured, 'tf32')
            if device.type == 'cuda':
                replay, images = graphed(model, noise, 0.7)
                times = repeat(replay, device, 2, 20, 1.)
                row.update(graph=rate(times, n), graph_ms=1000 * statistics.median(times))
                row['graph_apart'] = relative(images, draw().px.mean)
            rows.append(row)
            keep(found)
    return dict(**found, passed=all(r.get('graph_apart', 0) < 1e-2 for rows in found.values() for r in rows))


# ------------------------------------------------------------------------------------------------------- the whole

def parts_of(a, device, folder, result, keep):
    "name → (function of the seconds it may take, those seconds)"
    sizes = a.sizes or ([8, 32, 128, 512] if device.type == 'cuda' else [8])
    measured = lambda: result.get('card', {})
    here = partial(os.path.join, folder)
    return dict(
        card=(lambda s: card(device, s), 20),
        parity=(lambda s: parity(device, s, a.parity), 30),
        generate=(lambda s: generate(device, s, a.model), 20),
        steps=(lambda s: steps(device, s, here('steps')), 60),
        checkpointing=(lambda s: checkpointing(device, s), 15),
        pooled_norm=(lambda s: pooled_norm(device, s), 20),
        average=(lambda s: average(device, s, here('average')), 20),
        resume=(lambda s: resume(device, s, here('resume')), 40),
        rollback=(lambda s: rollback(device, s, here('rollback')), 20),
        sampling=(lambda s: sampling(device, s, measured(), keep('sampling')), 25),
        training=(lambda s: training(device, s, here('training'), measured(), sizes, keep('training')), 75),
        compile=(lambda s: compile_training(device, s, here('compile'), max(sizes[:3]), a.config), 60))


@contextmanager
def at_most(seconds):
    "A `TimeoutError` when it takes longer"
    def ring(signum, frame):
        raise TimeoutError(f'stopped after {seconds:.0f} s')
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def tried(f, seconds):
    "What a part found, or how it failed; never raises but for Ctrl-C"
    begun = time.monotonic()
    try:
        with at_most(seconds), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter('default')
            found = f(seconds - 1)
        found['warnings'] = sorted({str(w.message).split('\n')[0] for w in said})
    except Exception as e:  # a report goes on whatever a part does
        found = dict(passed=False, error=f'{type(e).__name__}: {e}', traceback=traceback.format_exc())
    return dict(found, seconds=round(time.monotonic() - begun, 1))


def device_report(a):
    "All parts, or those asked for; the result is in a.out after each"
    os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    if a.device == 'cpu':
        os.environ['ACCELERATE_USE_CPU'] = 'true'
    device = torch.device(a.device)
    before = json.loads(Path(a.out).read_text()) if a.only and Path(a.out).exists() else {}  # a part is tried again
    result, begun = {**before, 'date': time.strftime('%Y-%m-%d %H:%M'), 'on': str(device)}, time.monotonic()

    def write():
        Path(a.out).write_text(json.dumps(result, indent=1, default=str))

    def keep(part):
        def halfway(found):
            result[part] = dict(found, passed=False, error='stopped half-way')
            write()
        return halfway
    with tempfile.TemporaryDirectory() as folder:
        for name, (f, seconds) in parts_of(a, device, folder, result, keep).items():
            left = a.seconds - (time.monotonic() - begun)
            if name not in (a.only or [name]):
                continue
            if left < 5:
                result[name] = dict(passed=False, error='no time left')
            else:
                found = tried(f, min(seconds * a.stretch, left))
                result[name] = {**result.get(name, {}), **found} if 'error' in found else found
            write()
            print(line(name, result[name]), flush=True)
    result['seconds'] = round(time.monotonic() - begun, 1)
    write()
    return result


def line(name, r):
    "One line for people"
    return f"{name:14} {'ok' if r['passed'] else 'FAILED':7} {r.get('seconds', 0):6.1f} s  {r.get('error', '')}"


def arguments():
    here = Path(__file__).resolve().parent
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--only', action='append', metavar='PART', help='this part only (may be repeated)')
    p.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    p.add_argument('--seconds', type=float, default=240., help='for all of it')
    p.add_argument('--stretch', type=float, default=1., help='factor on the time that each part may take')
    p.add_argument('--out', default='device_report.json')
    p.add_argument('--parity', default=here.parent / 'parity', help="folder of the official network's numbers")
    p.add_argument('--model', default='demo', help='the model that `generate` is tried with')
    p.add_argument('--config', default=MEASURED[0], help='what `compile` measures')
    p.add_argument('--sizes', type=int, nargs='+', metavar='N', help='batch sizes of training')
    return p


def main(args=None):
    "The exit code"
    result = device_report(arguments().parse_args(args))
    return int(any(not r['passed'] for r in result.values() if isinstance(r, dict)))


if __name__ == '__main__':
    sys.exit(main())
