"""Measures what the page of results quotes, one line a run: trains and evaluates what results.jsonl lacks.

python docs/results.py [NAME...]    runs/ is made in the folder where it is typed, whose dataset/mnist holds
MNIST and whose dataset/cifar10_jpeg the JPEG files of CIFAR-10 in train/ and test/ (`make results`)
python docs/results.py digits       likewise: evaluates the kit's `digits`, one line of digits.jsonl an evaluation"""
import json
import os
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import torch
from frechet import distances

from nvae.bench import processor
from nvae.cli import main as cli
from nvae.config import configured
from nvae.evaluation.likelihood import evaluate, images_of
from nvae.network.cost import n_parameters
from nvae.runs.checkpoint import load_model
from nvae.runs.folder import open_run, read_metrics
from nvae.training.fit import fit

PAGE = Path(__file__).resolve().parents[1] / 'nbs/6_results'
RESULTS, SWEEP = PAGE / 'results.jsonl', PAGE / 'results_mnist.png'
TEMPERATURES = '0.4,0.6,0.8,1'

NETWORK = 'channels=8 n_groups=4 n_pre_cells=1 n_post_cells=1 batch_size=32'
SHORT = (f'{NETWORK} epochs=0.2 lr_warmup=0.01 kl_warmup=0.06 ema_decay=0.99 eval_images=1000 eval_every=100 '
         'preview_every=100 checkpoint_every=100')
LONGER = (f'{NETWORK} epochs=2 lr=0.03 lr_warmup=0.05 kl_warmup=0.6 ema_decay=0.998 eval_images=1000 eval_every=0.5 '
          'preview_every=100 checkpoint_every=0.25')
THREE_EPOCHS = ('n_valid=5000 batch_size=16 epochs=3 lr=0.02 lr_warmup=0.1 kl_warmup=0.9 ema_decay=0.999 eval_every=1 '
               'eval_images=1000 preview_every=1.5 checkpoint_every=0.25')
TEN_EPOCHS = ('n_valid=5000 batch_size=64 epochs=10 lr=0.02 lr_warmup=0.3 kl_warmup=3 ema_decay=0.999 eval_every=1 '
              'eval_images=1000 preview_every=5 checkpoint_every=0.25')
TRIALS = {
    'as it is': '', 'another seed': 'seed=1',
    'learning rate 0.003': 'lr=0.003', 'learning rate 0.03': 'lr=0.03',
    'no warm-up of the learning rate': 'lr_warmup=0',
    'no KL warm-up': 'kl_warmup=0', 'KL warm-up over the whole run': 'kl_warmup=0.2',
    'no KL balancing': 'kl_balancing=false', 'no average of the weights': 'ema_decay=0',
    'batches of 16': 'batch_size=16', 'batches of 128': 'batch_size=128',
    'batches of 128, learning rate 0.03': 'batch_size=128 lr=0.03',
    'no spectral regularisation': 'spectral_lambda=0', 'bfloat16': 'precision=bfloat16'}


def called(name): return f'name={name.replace(" ", "-").replace(",", "")}'


class Plan(NamedTuple):
    "How a run is trained and evaluated"
    base: str               # a configuration
    settings: str = ''      # of `--set`, blanks between them
    evaluations: tuple = () # (importance samples, images; None: all) of each
    data: str | None = None # of `--data`


RUNS = {f'trial: {name}': Plan('mnist_1gpu', f'{called(name)} {SHORT} {change}') for name, change in TRIALS.items()}
RUNS['MNIST'] = Plan('mnist_1gpu', f'name=mnist {LONGER}', ((10, None), (100, 500)))
RUNS['MNIST, three epochs'] = Plan('digits', f'name=mnist-three-epochs {THREE_EPOCHS}', ((10, None), (100, 1000)))
RUNS['MNIST, ten epochs'] = Plan('digits', f'name=mnist-ten-epochs {TEN_EPOCHS}', ((10, None), (100, 1000)))
RUNS['quickstart'] = Plan('quickstart', evaluations=((10, 1000),))
for seed in range(3):
    RUNS[f'CIFAR-10 JPEG, seed {seed}'] = Plan('cifar10_small', f'name=cifar10-jpeg-{seed} seed={seed}', ((10, None),),
                                               'dataset/cifar10_jpeg')


SAMPLED = {'Fréchet distances of demo': 'demo', 'Fréchet distances of demo32': 'demo32',
           'Fréchet distances of CIFAR-10 JPEG, seed 0': 'runs/cifar10-jpeg-0/cifar10-jpeg-0.model'}

# of the kit's model, trained elsewhere: options of `nvae evaluate`, one row of DIGITS each
DIGITS = PAGE / 'digits.jsonl'
EVALUATIONS = ['--importance-samples 10', '--importance-samples 100 --limit 1000',
               '--importance-samples 100 --limit 200 --redraw', '--importance-samples 1000 --limit 100']


def hardware():
    "The processor, or the accelerator, that did it"
    if torch.cuda.is_available(): return torch.cuda.get_device_name()
    return f'{processor()}, {torch.get_num_threads()} of {os.cpu_count()} cores'


def evaluation(cfg, run, k, n):
    "What `nvae evaluate` reports, and its command"
    command = ['nvae', 'evaluate', str(run.model), f'--importance-samples={k}', '--json']
    if n: command.insert(-1, f'--limit={n}')
    images, began = images_of(cfg), time.process_time()
    found = evaluate(load_model(run.model), images.test, k, n, model_file=str(run.model), **images.about)
    return dict(command=shlex.join(command), **found, cpu_seconds=round(time.process_time() - began))


def command_line(plan):
    "The command that trains this run"
    data = ['--data', plan.data] if plan.data else []
    changes = [word for setting in plan.settings.split() for word in ('--set', setting)]
    return shlex.join(['nvae', 'train', plan.base, *data, *changes])


def measure(name):
    "Train and evaluate; the record of it"
    plan = RUNS[name]
    cfg, began = configured(plan.base, plan.settings.split(), plan.data), time.process_time()
    run = open_run(cfg, Path('runs'))
    resumed = run.checkpoint.exists()  # what was spent before isn't known then
    model = fit(cfg, run)
    seconds, metrics = time.process_time() - began, read_metrics(run.metrics)
    train = [record for record in metrics if record['kind'] == 'train']
    last = [record for record in metrics if record['kind'] == 'test'][-1]
    groups = [[record['step'], record['kl_per_group']] for record in train] if plan.evaluations else []
    return dict(
        name=name, command=command_line(plan), date=f'{datetime.now(UTC):%Y-%m-%d}', hardware=hardware(),
        torch=torch.__version__, parameters=n_parameters(model), steps=last['step'],
        images=last['step'] * cfg.train.batch_size, cpu_seconds=None if resumed else round(seconds), unit=last['unit'],
        held_out=last['value'], held_out_images=last['images'], groups=groups,
        evaluations=[evaluation(cfg, run, k, n) for k, n in plan.evaluations])


def measure_samples(name):
    "The record of how far a model's samples are from images"
    began = time.process_time()
    found = distances(SAMPLED[name])
    return dict(
        name=name, command=shlex.join(['python', 'docs/results.py', name]), date=f'{datetime.now(UTC):%Y-%m-%d}',
        hardware=hardware(), torch=torch.__version__, cpu_seconds=round(time.process_time() - began), **found)


def known(path, key)->list:
    "What a file of records holds already: its runs' names, or its commands"
    if not path.exists(): return []
    return [json.loads(line)[key] for line in path.read_text(encoding='utf-8').splitlines()]


def evaluate_digits(options):
    "One evaluation of the kit's model that isn't on record, by the command itself; resumed where it was interrupted"
    command = ['nvae', 'evaluate', 'digits', *options.split(), '--json']
    if shlex.join(command) in known(DIGITS, 'command'): return
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
    record = dict(command=shlex.join(command), date=f'{datetime.now(UTC):%Y-%m-%d}', hardware=hardware(), **found)
    with open(DIGITS, 'a', encoding='utf-8') as f: f.write(json.dumps(record) + '\n')


def main(names):
    if names == ['digits']:
        for options in EVALUATIONS: evaluate_digits(options)
        return
    measured = known(RESULTS, 'name')
    for name in names or [name for name in (*RUNS, *SAMPLED) if name not in measured]:
        result = (measure if name in RUNS else measure_samples)(name)
        with open(RESULTS, 'a', encoding='utf-8') as f: f.write(json.dumps(result, ensure_ascii=False) + '\n')
        print(name, result.get('held_out', ''), result.get('unit', ''), result['cpu_seconds'], 's', flush=True)
        if name == 'MNIST':
            cli.main(['sample', 'runs/mnist/mnist.model', '--sweep', TEMPERATURES, '--n', '10', '--out', str(SWEEP)])


if __name__ == '__main__': main(sys.argv[1:])
