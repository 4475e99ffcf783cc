"nvae train as a person meets it: a process, its exit code, its lines, and the notebook it leaves"
import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
import yaml
from training import MODEL, TRAIN, assert_same_run

from nvae.config import load_config
from nvae.rundir import RunDir, holder, open_run, read_status
from nvae.train import fit

DATA = dict(n_train=48, n_test=8)
NVAE = [sys.executable, '-c', 'import sys; from nvae.cli import main; sys.exit(main())', 'train']


@pytest.fixture
def small(tmp_path, monkeypatch):
    "A configuration in a folder of its own"
    monkeypatch.chdir(tmp_path)
    (tmp_path/'small.yaml').write_text(yaml.safe_dump(dict(model=MODEL, data=DATA, train={**TRAIN, 'epochs': 3, 'checkpoint_every': .2, 'tracker': 'tensorboard'})))
    return tmp_path


def start(*args):  # on one thread, like the run in this process that they are compared with
    return subprocess.Popen([*NVAE, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, 'OMP_NUM_THREADS': '1'})


def run(*args):
    process = start(*args); out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def wait_for(condition, seconds=300):
    until = time.monotonic() + seconds
    while not condition(): assert time.monotonic() < until; time.sleep(.02)


def steps(run): return read_status(run).get('step', 0) if read_status(run).get('state') == 'training' else -1


def test_killed_stopped_and_finished(small):
    "A kernel that is killed, then Ctrl-C, then SIGTERM while it starts, then the rest: the same run as one in one piece, and the notebook of it"
    r = RunDir(small/'runs'/'small')
    process = start('small.yaml')
    wait_for(lambda: steps(r) >= 3)
    killed = holder(r)['pid']; os.kill(killed, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and 'kernel was killed' in out and 'Traceback' not in out + err

    process = start('small.yaml')
    wait_for(lambda: read_status(r)['pid'] != killed and steps(r) >= 8)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and 'the same command goes on' in out and 'Traceback' not in out + err
    stopped = read_status(r)
    assert stopped['state'] == 'interrupted' and stopped['step'] >= 8

    process = start('small.yaml')
    wait_for(lambda: read_status(r).get('state') == 'starting')
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143

    code, out, err = run('small.yaml')
    assert code == 0 and 'held-out' in out and '\r' not in out and err == ''
    fit(cfg := load_config('small.yaml'), open_run(cfg, small/'whole'))
    assert_same_run(r, RunDir(small/'whole'/'small'))
    check_notebook(r)

    began = time.monotonic(); code, out, err = run('small.yaml')
    assert code == 0 and 'already done' in out and time.monotonic() - began < 15


def check_notebook(r):
    "Configuration, curves, pictures; not large; no output that grows with the run"
    cells = nbformat.read(r.notebook, 4).cells
    outputs = [o for c in cells if c.cell_type == 'code' for o in c.outputs]
    assert sum('image/png' in o.get('data', {}) for o in outputs) >= 6
    assert 'n_scales: 2' in json.dumps([o.get('data', {}) for o in outputs])
    assert not any(o.output_type == 'error' for o in outputs)
    assert r.notebook.stat().st_size < 2e6
    assert (r.images/'samples-0.7.png').exists() and list(r.path.glob('events*'))


def test_bad_input_is_found_before_anything_starts(small):
    "One line, exit code 2, no run begun"
    (small/'afile').touch()
    for args, words in ((['smal.yaml'], 'no such configuration file'), (['quikstart'], "did you mean 'quickstart'"), (['small.yaml', '--set', 'n_scale=3'], "did you mean 'n_scales'"),
                        (['small.yaml', '--runs', 'afile'], "can't be written"), (['small.yaml', '--data', 'nowhere'], 'nowhere')):
        code, out, err = run(*args)
        assert code == 2 and words in err and len(err.strip().splitlines()) == 1, (args, out, err)
    assert not (small/'runs').exists()
