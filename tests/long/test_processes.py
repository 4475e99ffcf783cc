"""Several processes: what each of them holds after twenty steps, who notices trouble, how they stop, and what happens
when one of them dies"""
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from itertools import islice

import nbformat
import psutil
import pytest
import torch
import torch.distributed as dist
import yaml
from training import MODEL, TRAIN, config, differences, images

from nvae.data.batches import loaders_from
from nvae.errors import BadInput
from nvae.machine import free_port
from nvae.network.model import NVAE
from nvae.noise import own_generators
from nvae.runs.checkpoint import read_checkpoint
from nvae.runs.folder import RunDir, holder, open_run, read_metrics, read_status
from nvae.training import launch as processes
from nvae.training.distributed import fingerprint, rank_and_size, this_process
from nvae.training.fit import (
    Interrupted,
    after_step,
    checkpoint,
    forward_backward,
    start_or_resume,
    train_pass,
    train_step,
)
from nvae.training.launch import fit_together

LOOPBACK = 'lo' if sys.platform == 'linux' else 'lo0'
CPU = dict(MASTER_ADDR='127.0.0.1', ACCELERATE_USE_CPU='true', GLOO_SOCKET_IFNAME=LOOPBACK)


def one_of(n, rank, port, out, function, args):
    "What a process does that is started by `run_in`"
    numbers = dict(MASTER_PORT=port, RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=n, LOCAL_WORLD_SIZE=n)
    os.environ.update(CPU, **{name: str(value) for name, value in numbers.items()})
    me = this_process()
    with own_generators(): torch.save(function(*args), f'{out}/rank{rank}')
    if dist.is_initialized():
        me.wait_for_everyone()
        me.destroy_process_group()


def run_in(n, folder, function, *args):
    "What a function of this module returns in each of n processes"
    context, port = multiprocessing.get_context('forkserver'), free_port()
    context.set_forkserver_preload(['training', 'nvae.training.launch'])
    started = [context.Process(target=one_of, args=(n, rank, port, folder, function, args)) for rank in range(n)]
    for p in started: p.start()
    for p in started:
        p.join(300)
        p.kill()
    return [torch.load(folder/f'rank{rank}') for rank in range(n)]


def state_of(cfg, folder, n=80):
    "A run at its start, or at its last checkpoint, in one of several processes"
    return start_or_resume(cfg, RunDir(folder/'small'), loaders_from(cfg, images(n, 0), images(9, 1), None, *rank_and_size()))


def everything(state):
    "Copies of all tensors: parameters, buffers, and the average's"
    values = dict(state.objective.state_dict())
    if state.ema: values |= {f'ema.{k}': v for k, v in state.ema.state_dict().items()}
    return {k: v.clone() for k, v in values.items() if isinstance(v, torch.Tensor)}


# together

def twenty_steps(cfg, folder):
    state = state_of(cfg, folder)
    first = next(state.loaders.train.batches(0))
    while state.position < state.last: train_pass(state, [], None)
    p = state.progress
    same = dict(tensors=everything(state), optimizer=state.optimizer.state_dict(),
                held_out=p.held_out, sums=p.sums, step=p.step)
    return dict(first=first, same=same)


RECOMPUTED = dict(gradient_checkpointing=True, precision='bfloat16', ema_decay=0.)


@pytest.mark.parametrize('settings', [dict(), RECOMPUTED], ids=['averaged', 'recomputed'])
def test_identical_after_twenty_steps(tmp_path, settings):
    """Weights, BatchNorm's statistics, spectral vectors, the average, the optimiser and the held-out likelihood, from
    different images"""
    cfg = config(epochs=4, **settings)
    open_run(cfg, tmp_path)
    a, b = run_in(2, tmp_path, twenty_steps, cfg, tmp_path)
    assert a['same']['step'] == 20 and not torch.equal(a['first'], b['first'])
    assert differences(a['same'], b['same']) == []
    content = read_checkpoint(RunDir(tmp_path/'small').checkpoint)
    assert len(content['fingerprints']) == 2
    assert set(content['fingerprints']) == {fingerprint(content['model'][k] for k, _ in NVAE(cfg).named_parameters())}
    test = [r for r in read_metrics(RunDir(tmp_path/'small').metrics) if r['kind'] == 'test'][-1]
    assert test['images'] == 9 and test['nelbo'] == a['same']['held_out']


def one_gradient(cfg, folder):
    "Without the latents' noise, which each process draws for itself"
    NVAE._noise = lambda self, n, noise, seed: [torch.zeros(n, *s) for s in self.cfg.latent_shapes]
    state = state_of(cfg, folder)
    state.model.train()
    batches = state.loaders.train.batches(0)
    forward_backward(state, [next(batches) for _ in range(cfg.train.accumulate)])
    gradients = {k: p.grad for k, p in state.model.named_parameters()}
    return dict(gradients=gradients, buffers=dict(state.objective.named_buffers()))


@pytest.mark.parametrize('accumulate', [1, 2])
def test_two_halves_make_a_whole(tmp_path, accumulate):
    "Gradients, statistics and vectors of two processes are those of one that has all the images"
    cfgs = [config(batch_size=b, accumulate=accumulate, kl_balancing=False) for b in (4, 8)]
    for k in '12': open_run(cfgs[0], tmp_path/k)
    a, b = run_in(2, tmp_path, one_gradient, cfgs[0], tmp_path/'2')
    whole = run_in(1, tmp_path, one_gradient, cfgs[1], tmp_path/'1')[0]
    assert differences(a, b) == []
    for kind in whole:
        for k, v in whole[kind].items():
            atol = 1e-4*v.abs().max().item() + 1e-6
            torch.testing.assert_close(a[kind][k], v, rtol=1e-3, atol=atol, msg=lambda m, k=k: f'{k}: {m}')


# trouble and signals in one of them

def trouble(cfg, folder):
    "A NaN in an image, then in a weight, of process 1 alone"
    state, rank = state_of(cfg, folder), rank_and_size()[0]
    good, x, y = islice(state.loaders.train.batches(0), 3)
    assert train_step(state, [good]) is None
    checkpoint(state)
    before = everything(state)
    def as_before(): return all(torch.equal(v, before[k]) for k, v in everything(state).items())
    if rank: x[3, 0, 5, 5] = float('nan')
    said = [train_step(state, [x])]
    unmoved = as_before()
    if rank: state.model.stem.weight.data[0, 0, 0, 0] = float('nan')
    said.append(train_step(state, [y]))
    checkpoint(state)
    progress = state.progress.step, state.progress.halvings
    return dict(said=said, unmoved=unmoved, back=as_before(), progress=progress)


def test_trouble_in_one_is_trouble_of_all(tmp_path):
    cfg = config(lr_warmup=0)
    open_run(cfg, tmp_path)
    a, b = run_in(2, tmp_path, trouble, cfg, tmp_path)
    assert a == b
    image, weight = a['said']
    assert 'first in process 1: the images: 1 of 8' in image
    assert 'first in process 1: the weights of stem.weight' in weight
    assert a['unmoved'] and a['back'] and a['progress'] == (1, 1)
    events = [r['message'] for r in read_metrics(RunDir(tmp_path/'small').metrics) if r['kind'] == 'event']
    assert any('process 1: model.stem.weight is not finite' in event for event in events)


def stopped(cfg, folder, step):
    "A signal that reaches process 1 alone; returns what that process was told, and its position"
    state = state_of(cfg, folder)
    p, batches, stops = state.progress, state.loaders.train, []
    def watch(status, records, last=False): pass
    try:
        while state.position < state.last:
            if p.step == step and rank_and_size()[0]: stops.append(signal.SIGTERM)
            train_step(state, [next(batches.batches(p.epoch, start=p.batch))])
            after_step(state, stops, watch)
            if p.batch == len(batches): p.epoch, p.batch = p.epoch + 1, 0
    except Interrupted as e:
        return e.signum, state.progress.step
    return None, state.progress.step


def test_a_signal_to_one_stops_all_and_another_number_goes_on(tmp_path):
    "Two processes, then one, then two; the place in the data is kept in images"
    cfg = config(epochs=1)
    open_run(cfg, tmp_path)
    assert run_in(2, tmp_path, stopped, cfg, tmp_path, 2) == [(signal.SIGTERM, 3)]*2  # 48 of 80 images
    state = run_in(1, tmp_path, position, cfg, tmp_path)[0]
    assert state == (3, 0, 6)
    assert run_in(1, tmp_path, stopped, cfg, tmp_path, 99) == [(None, 3 + 4)]
    assert run_in(2, tmp_path, position, config(epochs=2), tmp_path) == [(7, 0, 5)]*2  # at the end of the first pass


def position(cfg, folder):
    p = state_of(cfg, folder).progress
    return p.step, p.epoch, p.batch


# as a person meets it

@pytest.fixture
def small(tmp_path, monkeypatch):
    "A configuration in a folder of its own: 20 steps of two processes"
    monkeypatch.chdir(tmp_path)
    train = {**TRAIN, 'epochs': 4, 'eval_every': 4, 'preview_every': 4, 'checkpoint_every': .2}
    cfg = dict(model=MODEL, data=dict(n_train=80, n_test=9), train=train)
    (tmp_path/'small.yaml').write_text(yaml.safe_dump(cfg))
    return tmp_path


def start(*args):
    command = [sys.executable, '-c', 'import sys; from nvae.cli import main; sys.exit(main())', 'train', *args]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def of_this_run(process):
    "Rank → the processes of a training"
    found = {}
    for p in process.children(recursive=True):
        try: found[int(p.environ().get('RANK', -1))] = p
        except psutil.Error: pass
    return found


def is_training(r):
    "Has this run made some steps?"
    status = read_status(r)
    return status.get('state') == 'training' and status.get('step', 0) >= 3


def test_under_papermill(small):
    """A killed process ends the run, with a message and a whole checkpoint; the same command finishes it, and both hold
    what is in the file"""
    r = RunDir(small/'runs'/'small')
    process = start('small.yaml', '--processes', '2', '--set', 'epochs=400')
    until = time.monotonic() + 240
    while not (r.checkpoint.exists() and is_training(r)):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(.05)
    ranks = of_this_run(psutil.Process(process.pid))
    assert holder(r)['pid'] == ranks[0].pid
    killed = time.monotonic()
    ranks[1].kill()
    out, err = process.communicate(timeout=120)
    assert time.monotonic() - killed < 60
    assert process.returncode == 1 and 'process 1 of 2 was killed by SIGKILL' in out and 'Traceback' not in out + err
    assert read_status(r)['state'] == 'failed' and holder(r) is None and not ranks[0].is_running()
    done = read_checkpoint(r.checkpoint)['progress']['step']
    assert done >= 2  # the status of a step is written before its checkpoint

    process = start('small.yaml', '--processes', '2', '--set', f'epochs={done//5 + 2}')
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0 and 'held-out' in out, out + err
    content = read_checkpoint(r.checkpoint)
    assert content['progress']['step'] == 5*(done//5 + 2)
    assert len(set(content['fingerprints'])) == 1 and content['facts']['processes'] == 2
    assert content['fingerprints'] == [fingerprint(p for _, p in load_raw(content).named_parameters())]*2
    outputs = [o for c in nbformat.read(r.notebook, 4).cells if c.cell_type == 'code' for o in c.outputs]
    assert sum('image/png' in o.get('data', {}) for o in outputs) >= 6
    assert not any(o.output_type == 'error' for o in outputs)


def load_raw(content):
    from nvae.config import Config
    model = NVAE(Config.from_dict(content['config']))
    model.load_state_dict(content['model'])
    return model


def test_what_the_processes_refuse_is_refused(tmp_path):
    "Too few images for two processes: only they can know"
    cfg = config(data=dict(n_train=12, n_test=8))
    run = open_run(cfg, tmp_path)
    with pytest.raises(BadInput, match='12 training images don.t fill one batch of 8 for each of 2'):
        fit_together(cfg, run, 2)
    assert holder(RunDir(tmp_path/'small')) is None


def test_numbers_of_processes(tmp_path, monkeypatch):
    cfg = config()
    with pytest.raises(BadInput, match='1 or more'): fit_together(cfg, open_run(cfg, tmp_path), 0)
    monkeypatch.setattr(torch.accelerator, 'is_available', lambda: True)
    monkeypatch.setattr(torch.accelerator, 'device_count', lambda: 2)
    with pytest.raises(BadInput, match='4 asked for, but this machine has 2 GPUs'): processes.check_count(4)


def test_nobody_trains_for_a_notebook_that_is_gone(monkeypatch):
    "Process 0 asks for a stop, once"
    sent, kill = [], os.kill
    monkeypatch.setattr(os, 'kill', lambda pid, signum: sent.append((pid, signum)) if signum else kill(pid, 0))
    gone = subprocess.Popen(['true'])
    gone.wait()
    for parent in (None, os.getpid(), gone.pid):
        watch = processes.stop_without(parent)
        watch({}, list)
        watch({}, list)
    assert sent == [(os.getpid(), signal.SIGTERM)]
