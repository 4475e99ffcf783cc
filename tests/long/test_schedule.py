"nvae train as a person meets it: a process, its exit code, its lines, and the notebook it leaves"
import json
import os
import random
import signal
import subprocess
import sys
import time

import nbformat
import pytest
import yaml
from training import MODEL, TRAIN, assert_same_run

from nvae.config import load_config
from nvae.runs.checkpoint import read_checkpoint
from nvae.runs.folder import RunDir, holder, open_run, read_status
from nvae.training.fit import fit

DATA = dict(n_train=48, n_test=8)
NVAE = [sys.executable, '-c', 'import sys; from nvae.cli import main; sys.exit(main())', 'train']


@pytest.fixture
def small(tmp_path, monkeypatch):
    "A configuration in a folder of its own"
    monkeypatch.chdir(tmp_path)
    train = {**TRAIN, 'epochs': 10, 'eval_every': 5, 'checkpoint_every': .2, 'tracker': 'tensorboard'}
    (tmp_path/'small.yaml').write_text(yaml.safe_dump(dict(model=MODEL, data=DATA, train=train)))
    return tmp_path


def start(*args):  # on one thread, like the run in this process that they are compared with
    command, environment = [*NVAE, *map(str, args)], {**os.environ, 'OMP_NUM_THREADS': '1'}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def run(*args):
    process = start(*args)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def wait_for(condition, seconds=300):
    until = time.monotonic() + seconds
    found = condition()
    while not found:
        assert time.monotonic() < until
        time.sleep(.02)
        found = condition()
    return found


def training(r, before=None):
    "Is the kernel that trains another than the one before? Its process"
    status = read_status(r)
    return status['pid'] if status.get('state') == 'training' and status['pid'] != before else None


def test_killed_stopped_and_finished(small):
    """A kernel that is killed at two random moments, then Ctrl-C, then SIGTERM, also while it starts, then the rest:
    the same run as one in one piece, and the notebook of it"""
    r, rng, pid = RunDir(small/'runs'/'small'), random.Random(), None
    for _ in range(2):
        process = start('small.yaml')
        pid = wait_for(lambda: training(r, pid))
        time.sleep(rng.uniform(0, .3))
        os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 1 and 'kernel was killed' in out and 'Traceback' not in out + err

    for signum in (signal.SIGINT, signal.SIGTERM):
        process = start('small.yaml')
        pid = wait_for(lambda: training(r, pid))
        process.send_signal(signum)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 128 + signum and 'the same command goes on' in out and 'Traceback' not in out + err
        status = read_status(r)
        assert status['state'] == 'interrupted'
        assert read_checkpoint(r.checkpoint)['progress']['step'] == status['step']

    process = start('small.yaml')
    wait_for(lambda: read_status(r).get('state') == 'starting')
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143

    code, out, err = run('small.yaml')
    assert code == 0 and 'held-out' in out and '\r' not in out and err == ''
    cfg = load_config('small.yaml')
    fit(cfg, open_run(cfg, small/'whole'))
    assert_same_run(r, RunDir(small/'whole'/'small'))
    check_notebook(r)

    began = time.monotonic()
    code, out, err = run('small.yaml')
    assert code == 0 and 'already done' in out and time.monotonic() - began < 15


def test_a_run_that_fails_by_itself(small):
    "A learning rate that no halving mends: exit code 1, one line with the reason, and a whole checkpoint"
    settings = ('lr=100', 'lr_min=100', 'lr_warmup=0', 'checkpoint_every=100', 'tracker=none')
    code, out, err = run('small.yaml', *[word for setting in settings for word in ('--set', setting)])
    last = out.strip().splitlines()[-1]
    assert code == 1 and 'Traceback' not in out + err, (out, err)
    assert 'failed: step' in last and 'is not finite, first in' in last and 'train.lr' in last, (out, err)
    r = RunDir(small/'runs'/'small')
    assert read_status(r)['state'] == 'failed' and holder(r) is None
    assert all(v.isfinite().all() for v in read_checkpoint(r.checkpoint)['model'].values())
    assert any(o.output_type == 'error' for o in outputs_of(r.notebook))


def outputs_of(notebook):
    cells = nbformat.read(notebook, 4).cells
    return [o for c in cells if c.cell_type == 'code' for o in c.outputs]


def check_notebook(r):
    "Configuration, curves, pictures; not large; no output that grows with the run"
    outputs = outputs_of(r.notebook)
    assert sum('image/png' in o.get('data', {}) for o in outputs) >= 6
    assert 'n_scales: 2' in json.dumps([o.get('data', {}) for o in outputs])
    assert not any(o.output_type == 'error' for o in outputs)
    assert r.notebook.stat().st_size < 2e6
    assert (r.images/'samples-0.7.png').exists() and list(r.path.glob('events*'))


def test_bad_input_is_found_before_anything_starts(small):
    "One line, exit code 2, no run begun"
    (small/'afile').touch()
    for args, words in ((['smal.yaml'], 'no such configuration file'),
                        (['quikstart'], "did you mean 'quickstart'"),
                        (['small.yaml', '--set', 'n_scale=3'], "did you mean 'n_scales'"),
                        (['small.yaml', '--runs', 'afile'], "can't be written"),
                        (['small.yaml', '--data', 'nowhere'], 'nowhere')):
        code, out, err = run(*args)
        assert code == 2 and words in err and len(err.strip().splitlines()) == 1, (args, out, err)
    assert not (small/'runs').exists()
