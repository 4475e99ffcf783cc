"""Measures what nbs/30_results.ipynb quotes: trains and evaluates every run below that nbs/results.jsonl lacks, a line for each. `make results` calls it.

python docs/results.py [NAME...]    in a folder where dataset/mnist holds MNIST; runs/ is made in it"""
import json
import os
import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

from nvae import cli
from nvae.bench import processor
from nvae.checkpoint import load_model
from nvae.config import load_config
from nvae.evaluate import evaluate, images_of
from nvae.model import n_parameters
from nvae.rundir import open_run, read_metrics
from nvae.train import fit

BOOK = Path(__file__).resolve().parents[1] / 'nbs'
RESULTS, SWEEP = BOOK / 'results.jsonl', BOOK / 'results_mnist.png'
TEMPERATURES = '0.4,0.6,0.8,1'

NETWORK = 'channels=8 n_groups=4 n_pre_cells=1 n_post_cells=1 batch_size=32'
SHORT = f'{NETWORK} epochs=0.2 lr_warmup=0.01 kl_warmup=0.06 ema_decay=0.99 eval_images=1000 eval_every=100 preview_every=100 checkpoint_every=100'
LONGER = f'{NETWORK} epochs=2 lr=0.03 lr_warmup=0.05 kl_warmup=0.6 ema_decay=0.998 eval_images=1000 eval_every=0.5 preview_every=100 checkpoint_every=0.25'
TRIALS = {'as it is': '', 'another seed': 'seed=1', 'learning rate 0.003': 'lr=0.003', 'learning rate 0.03': 'lr=0.03', 'no KL warm-up': 'kl_warmup=0',
          'KL warm-up over the whole run': 'kl_warmup=0.2', 'no KL balancing': 'kl_balancing=false', 'no average of the weights': 'ema_decay=0', 'batches of 16': 'batch_size=16',
          'batches of 128': 'batch_size=128', 'batches of 128, learning rate 0.03': 'batch_size=128 lr=0.03', 'no warm-up of the learning rate': 'lr_warmup=0',
          'no spectral regularisation': 'spectral_lambda=0', 'bfloat16': 'precision=bfloat16'}


def called(name): return f'name={name.replace(" ", "-").replace(",", "")}'


# name: (configuration, settings, [(importance samples, images; None: all), ...])
RUNS = ({f'trial: {k}': ('mnist_1gpu', f'{called(k)} {SHORT} {v}', []) for k, v in TRIALS.items()}
        | {'MNIST': ('mnist_1gpu', f'name=mnist {LONGER}', [(10, None), (100, 500)]), 'quickstart': ('quickstart', '', [(10, 1000)])})


def hardware():
    "The processor, or the accelerator, that did it"
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f'{processor()}, {torch.get_num_threads()} of {os.cpu_count()} cores'


def evaluation(cfg, run, k, n):
    "What `nvae evaluate` reports, and its command"
    command = ['nvae', 'evaluate', str(run.model), f'--importance-samples={k}', *([f'--limit={n}'] if n else []), '--json']
    images, began = images_of(cfg), time.process_time()
    return dict(command=shlex.join(command), **evaluate(load_model(run.model), images.test, k, n, model_file=str(run.model), **images.about), cpu_seconds=round(time.process_time() - began))


def measure(name):
    "Train and evaluate; the record of it"
    base, settings, evaluations = RUNS[name]
    cfg, began = load_config(base, settings.split()), time.process_time()
    run = open_run(cfg, Path('runs'))
    model = fit(cfg, run)
    seconds, metrics = time.process_time() - began, read_metrics(run.metrics)
    train, test = ([r for r in metrics if r['kind'] == kind] for kind in ('train', 'test'))
    return dict(name=name, command=shlex.join(['nvae', 'train', base, *(a for s in settings.split() for a in ('--set', s))]), date=f'{datetime.now(UTC):%Y-%m-%d}', hardware=hardware(),
                torch=torch.__version__, parameters=n_parameters(model), steps=test[-1]['step'], images=test[-1]['step'] * cfg.train.batch_size, cpu_seconds=round(seconds),
                unit=test[-1]['unit'], held_out=test[-1]['value'], held_out_images=test[-1]['images'], groups=[[r[k] for k in ('step', 'kl_per_group')] for r in train if evaluations],
                evaluations=[evaluation(cfg, run, k, n) for k, n in evaluations])


def main(names):
    known = [json.loads(line)['name'] for line in RESULTS.read_text(encoding='utf-8').splitlines()] if RESULTS.exists() else []
    for name in names or [n for n in RUNS if n not in known]:
        result = measure(name)
        with open(RESULTS, 'a', encoding='utf-8') as f: f.write(json.dumps(result) + '\n')
        print(name, result['held_out'], result['unit'], result['cpu_seconds'], 's', flush=True)
        if name == 'MNIST': cli.main(['sample', 'runs/mnist/mnist.model', '--sweep', TEMPERATURES, '--n', '10', '--out', str(SWEEP)])


if __name__ == '__main__': main(sys.argv[1:])
