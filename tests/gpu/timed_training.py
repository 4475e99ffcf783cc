"""Train one configuration for so many minutes on this machine, and leave a model that can be used, whenever it ends.

    python timed_training.py CONFIG.yaml --minutes 5.5 [--out FOLDER] [--faces 100000] [--valid 5000] [--evaluate K]

Each step is one CUDA graph where there is a GPU (precision and memory layout as is fastest); where that can't be had,
or with --eager, it is the kit's `fit`. Warm-ups and the cosine follow the share of the time, so they end with it.
The same command goes on with a run that was stopped. With --valid, so many training images are held out for choices;
the test images are touched by --evaluate alone, after training."""
import argparse
import gc
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from graphed import Trainer, pace, with_train
from torch.optim.swa_utils import update_bn

from nvae.config import Config, load_config
from nvae.data.batches import Batches, loaders_from
from nvae.data.faces import draw_faces
from nvae.data.images import recolour
from nvae.data.sources import FIRST_TEST_FACE, dataloaders
from nvae.evaluation.likelihood import evaluate
from nvae.network.elbo import negative_elbo
from nvae.noise import own_generators
from nvae.plots.pictures import image_grid
from nvae.runs.checkpoint import load_model, save_model
from nvae.runs.folder import RunDir, open_run, read_metrics
from nvae.sampling.sample import sample_images
from nvae.training.fit import Interrupted, fit, train_step
from nvae.training.monitor import reconstructions
from nvae.training.state import new_state

RELATIVE = 'lr_warmup', 'kl_warmup', 'kl_delay', 'eval_every', 'preview_every', 'checkpoint_every'


# ------------------------------------------------------------------------------------------------------------ data

def block_of_faces(m, seed, first):
    "uint8 (100, C, H, W)"
    return recolour(draw_faces(range(first, first + 100), m.size, seed)[0], m.image_channels)


def drawn_faces(cfg, n, first=0, processes=None):
    "uint8 (n, C, H, W), drawn on all cores (os.cpu_count() of them, or PROCESSES)"
    processes = processes or int(os.environ.get('PROCESSES', 0)) or None
    draw, starts = partial(block_of_faces, cfg.model, cfg.data.split_seed), range(first, first + n, 100)
    if n <= 2000:
        return np.concatenate([draw(i) for i in starts])[:n]
    with ProcessPoolExecutor(processes, mp_context=get_context('fork')) as pool:
        return np.concatenate(list(pool.map(draw, starts, chunksize=8)))[:n]


def images(cfg, n_faces, n_valid, processes=None):
    "(loaders for training, test `Batches`)"
    if cfg.data.dataset == 'embedded':
        train, test = drawn_faces(cfg, n_faces, 0, processes), drawn_faces(cfg, 2000, FIRST_TEST_FACE)
        loaders = loaders_from(cfg, train, test, dict(split='drawn apart', drawing_seed=cfg.data.split_seed))
        return loaders, loaders.test
    loaders = dataloaders(cfg, progress=False)
    if not n_valid:
        return loaders, loaders.test
    known = loaders.train.pixels.images
    about = dict(loaders.info, split=f'last {n_valid} training images')
    split = loaders_from(cfg, known[:-n_valid], known[-n_valid:], about)
    return split, loaders.test


# -------------------------------------------------------------------------------------------------------- schedule

def seconds_per_step(cfg, loaders, steps=40):
    "Of the whole step, data included, after some that don't count"
    with tempfile.TemporaryDirectory() as folder, own_generators():
        (Path(folder) / 'pace').mkdir()
        state = new_state(cfg, RunDir(Path(folder) / 'pace'), loaders)
        batches, times = loaders.train.batches(0), []
        for x in (next(batches) for _ in range(min(steps, len(loaders.train)))):
            train_step(state, [x])
            times.append(time.monotonic())
    warm = times[len(times) // 3:]
    return (warm[-1] - warm[0]) / max(1, len(warm) - 1)


def fitted(cfg, loaders, seconds):
    "The configuration with as many passes as fit"
    pace = seconds_per_step(cfg, loaders)
    epochs = max(2, seconds / pace) / max(1, len(loaders.train) // cfg.train.accumulate)
    changes = {k: getattr(cfg.train, k) * epochs / cfg.train.epochs for k in RELATIVE}
    print(f'{cfg.name}: {1000 * pace:.1f} ms a step, {epochs:.1f} passes in {seconds:.0f} s', flush=True)
    train = {**cfg.train.model_dump(mode='json'), **changes, 'epochs': epochs}
    return Config.from_dict({**cfg.to_dict(), 'train': train})


def stop_at(moment):
    "A watcher that presses Ctrl-C when the time is over"
    pressed = []

    def watch(status, records, last=False):
        if time.monotonic() > moment and not pressed and not last:
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGINT)
    return watch


def trained(cfg, run, loaders, until):
    "The network for use: of the whole run, or of what the time sufficed for"
    try:
        return fit(cfg, run, loaders, stop_at(until))
    except Interrupted as e:
        print(f'{cfg.name}: {e}', flush=True)
    model = load_model(run.checkpoint)
    update_bn((x.to(model.start.device) for x, _ in zip(loaders.train.batches(0), range(20))), model)
    model = model.eval()
    save_model(model, run.model, **model.facts)
    return model


# --------------------------------------------------------------------------------------------------------- results

@torch.no_grad()
def redrawn(model, pixels, cfg, seed=1):
    "Negative ELBO of test images whose pixels are drawn anew, by one draw each"
    plain = cfg.to_dict()
    batches = Batches(pixels, Config.from_dict({**plain, 'data': {**plain['data'], 'split_seed': seed}}), False)
    totals = [negative_elbo(model(x.to(model.start.device), seed=i), x.to(model.start.device)).double().cpu()
              for i, x in enumerate(batches.batches())]
    return float(torch.cat(totals).mean())


def likelihoods(model, test, cfg, k, limit, seed=0):
    "On the held-out test images: bound and importance-weighted, binarised once; the bound also redrawn"
    batch_size = 32768 if torch.cuda.is_available() else 256
    found = evaluate(model.eval(), test, k, limit=limit, seed=seed, batch_size=batch_size)
    if cfg.model.likelihood == 'bernoulli':
        found['nelbo_redrawn'] = redrawn(model, test.pixels, cfg)
    return found


def pictures(model, loaders, out, name):
    "Sixteen unpicked samples at 0.7, and eight held-out images above their reconstructions"
    samples = sample_images(model, 16, 0.7, 20, seed=0).float().cpu()
    image_grid(samples, n_cols=4, scale=2).save(out / f'{name}-samples.png')
    x = next(iter(loaders.test.batches()))[:8]
    both = torch.cat([x, reconstructions(model, x)])
    image_grid(both, n_cols=len(x), scale=2).save(out / f'{name}-reconstructions.png')


def write(path, **values):
    path.write_text(json.dumps(values, indent=1, default=str))


# ----------------------------------------------------------------------------------------------- as a CUDA graph

VARIANTS = {'float32': dict(precision='float32', channels_last=True),
            'float32-nchw': dict(precision='float32', channels_last=False),
            'bfloat16': dict(precision='bfloat16', channels_last=True)}


def chosen(cfg, runs, loaders, names):
    "The fastest variant, captured; (trainer, seconds of a step by variant). bfloat16 has to be a fifth faster"
    best, found = None, {}
    for name in names:
        begun = time.monotonic()
        try:
            changed = with_train(cfg, **VARIANTS[name])
            trainer = Trainer(changed, open_run(changed, runs), loaders)
            trainer.capture()
            found[name] = pace(trainer)
        except Exception as e:
            found[name] = f'{type(e).__name__}: {e}'[:300]
            traceback.print_exc()
            if best is None: raise
            break  # a failed capture may leave the stream unusable
        weight = 1.2 if name == 'bfloat16' else 1.
        print(f'{cfg.name} {name}: {1000 * found[name]:.2f} ms a step of {cfg.train.batch_size}, '
              f'ready in {time.monotonic() - begun:.1f} s', flush=True)
        if best is None or weight * found[name] < best[0]: best = weight * found[name], name, trainer
        del trainer
        gc.collect()
        if torch.cuda.is_available(): torch.cuda.empty_cache()
    print(f'{cfg.name}: {best[1]} taken', flush=True)
    return best[2], found


def small_checkpoint(path, out):
    "The run's checkpoint for the way home: moments in bfloat16, the average in 16 bits (its model is beside it)"
    content = torch.load(path, map_location='cpu', weights_only=True)
    for moments in content['optimizer']['state'].values():
        for k in ('exp_avg', 'exp_inf'): moments[k] = moments[k].bfloat16()
    if content['ema']:
        content['ema'] = {k: v.half() if v.dim() > 1 and v.half().isfinite().all() else v
                          for k, v in content['ema'].items()}
    torch.save(content, out)


def leave(trainer, loaders, out, name, half, part=None):
    "Model, checkpoint, metrics and pictures of a run as it is"
    with own_generators():
        model = trainer.results()
        s = trainer.state
        if s.progress.held_out is not None:
            save_model(model.eval(), out / f'.{name}.tmp', half=half, **model.facts)
            os.replace(out / f'.{name}.tmp', out / f'{name}.model')
            pictures(model, loaders, out, name if part is None else f'{name}-{part:.2f}')
        small_checkpoint(s.run.checkpoint, out / f'.{name}.tmp')
        os.replace(out / f'.{name}.tmp', out / f'{name}.checkpoint')
        shutil.copy(s.run.metrics, out / f'{name}.jsonl')
        write(out / f'{name}.json', config=s.cfg.to_dict(), facts=getattr(model, 'facts', None))
        model.train(model is s.model)
    print(f'{name}: {trainer.steps} steps, held out {s.progress.held_out} nats', flush=True)
    return model


def graphed_run(cfg, a, loaders, out, begun, until):
    "The network for use"
    trainer, paces = chosen(cfg, a.runs, loaders, a.variants.split(','))
    write(out / f'{cfg.name}-pace.json', **paces)
    start = time.monotonic()
    share = lambda: (time.monotonic() - start) / (until - start)
    at_share = lambda t: leave(t, loaders, out, cfg.name, a.half, t.done)
    trainer.train(share, [float(m) for m in a.marks.split(',') if m], at_share)
    return leave(trainer, loaders, out, cfg.name, a.half), trainer.state.cfg


def seconds_since(moment):
    "From a moment of `date +%s` to now; 0 without one"
    return max(0., time.time() - moment) if moment else 0.


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('config')
    p.add_argument('--minutes', type=float, default=5.5, help='of training and data, from the start')
    p.add_argument('--since', type=float, help='the start, as `date +%%s` tells it; none: of this program')
    p.add_argument('--out', default='timed', help='where model, metrics and pictures go')
    p.add_argument('--runs', default='runs')
    p.add_argument('--faces', type=int, default=40_000)
    p.add_argument('--valid', type=int, default=0, help='training images held out, for choices')
    p.add_argument('--evaluate', default='', metavar='K[:N],…', help='importance samples on N test images (all)')
    p.add_argument('--set', action='append', default=[], metavar='key=value')
    p.add_argument('--half', action='store_true', help='save in 16 bits')
    p.add_argument('--eager', action='store_true', help='no CUDA graphs')
    p.add_argument('--variants', default=','.join(VARIANTS))
    p.add_argument('--marks', default='0.15,0.5', help='shares of the time at which all is left in --out too')
    p.add_argument('--trial', action='store_true', help='only measure the variants')
    return p


def main(args=None):
    a = arguments().parse_args(args)
    begun, out = time.monotonic() - seconds_since(a.since), Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_float32_matmul_precision('high')
    torch.backends.cudnn.allow_tf32 = True
    cfg = load_config(a.config, a.set)
    loaders, test = images(cfg, a.faces, a.valid)
    print(f'{cfg.name}: data ready after {time.monotonic() - begun:.0f} s', flush=True)
    if a.trial:
        print(json.dumps(chosen(cfg, a.runs, loaders, a.variants.split(','))[1]))
        return 0
    run, until = RunDir(Path(a.runs) / cfg.name), begun + 60 * a.minutes
    left = until - time.monotonic()
    if a.eager or run.checkpoint.exists():
        cfg = load_config(run.config) if run.checkpoint.exists() else fitted(cfg, loaders, 0.92 * left)
        model = trained(cfg, open_run(cfg, a.runs), loaders, until)
        save_model(model, out / f'{cfg.name}.model', half=a.half, **model.facts)
        small_checkpoint(run.checkpoint, out / f'{cfg.name}.checkpoint')
        shutil.copy(run.metrics, out / f'{cfg.name}.jsonl')
        pictures(model, loaders, out, cfg.name)
    else:
        try:
            model, cfg = graphed_run(cfg, a, loaders, out, begun, until)
        except Exception:
            traceback.print_exc()
            print(f'{cfg.name}: no CUDA graph; once more, step by step', flush=True)
            shutil.rmtree(run.path, ignore_errors=True)
            since = time.time() - (time.monotonic() - begun)
            given = [v for v in (args or sys.argv[1:])] + ['--eager', '--since', str(since)]
            os.execv(sys.executable, [sys.executable, __file__, *given])
    figures = dict(config=cfg.to_dict(), facts=model.facts, seconds=round(time.monotonic() - begun, 1), test={})
    write(out / f'{cfg.name}.json', **figures)
    tests = [r for r in read_metrics(run.metrics) if r['kind'] == 'test']
    print(f"{cfg.name}: held out {tests[-1]['value']:.4f} {tests[-1]['unit']}", flush=True)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    for asked in filter(None, a.evaluate.split(',')):
        k, _, n = asked.partition(':')
        figures['test'][asked] = found = likelihoods(model, test, cfg, int(k), int(n) if n else None)
        figures['seconds'] = round(time.monotonic() - begun, 1)
        write(out / f'{cfg.name}.json', **figures)
        print(f"{cfg.name}: test K = {asked}: {found['nats']}", flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
