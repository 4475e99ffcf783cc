"""Plans as a person meets them: six runs to the page that compares them, through a killed worker and a Ctrl-C; and what
is refused before anything starts"""
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from training import MODEL, TRAIN

from nvae.errors import BadInput
from nvae.runs.folder import RunDir, held, holder, read_metrics, read_status, write_status
from nvae.runs.listing import stop_run
from nvae.schedule.dispatch import run_plan

NVAE = [sys.executable, '-c', 'import sys; from nvae.cli import main; sys.exit(main())']
SIZE = {**MODEL, 'channels': 4}
DATA = dict(n_train=16, n_test=8)
SHORT = {**TRAIN, 'epochs': 2, 'ema_decay': 0}
LONG = {**SHORT, 'epochs': 60, 'eval_every': 30, 'checkpoint_every': 10}
NAMES = [f'{config}-seed{seed}' for config in ('short', 'long') for seed in range(3)]


@pytest.fixture
def place(tmp_path, monkeypatch):
    "A folder with two configurations; no graphics cards, one thread for each run"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    for name, train in (('short', SHORT), ('long', LONG)):
        text = yaml.safe_dump(dict(model=SIZE, data=DATA, train=train))
        (tmp_path/f'{name}.yaml').write_text(text)
    return tmp_path


def plan(place, **keys):
    (place/'night.yaml').write_text(yaml.safe_dump(keys))
    return 'night.yaml'


def run(name): return RunDir(f'runs/{name}')


def start(*args):
    command = [*NVAE, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, process, seconds=400):
    "What the condition gives when it first gives something"
    until = time.monotonic() + seconds
    found = condition()
    while not found:
        assert time.monotonic() < until and process.poll() is None
        time.sleep(.05)
        found = condition()
    return found


def kernels():
    "Processes that train a run"
    holders = [holder(run(name)) for name in NAMES]
    return [psutil.Process(who['pid']) for who in holders if who and psutil.pid_exists(who.get('pid', -1))]


def state_of(name): return read_status(run(name)).get('state')


def under_way():
    "The long runs that are being trained, and neither begin nor end"
    return [name for name in NAMES[3:] if state_of(name) == 'training' and 3 < read_status(run(name))['step'] < 70]


def models():
    "When the models of the runs that are done were written"
    return {name: run(name).model.stat().st_mtime_ns for name in NAMES if state_of(name) == 'done'}


@pytest.mark.timeout(1500)
def test_six_runs_to_their_page(place, nvae):
    """Two configurations, three seeds, two at a time: a worker is killed, Ctrl-C stops the rest, and the same command
    finishes; what is done is left alone"""
    configs = [dict(config='short.yaml'), dict(config='long.yaml')]
    night = plan(place, seeds=[0, 1, 2], sample=dict(n=4, iterations=1), runs=configs)
    command = ('schedule', night, '--slots', 2)
    process = start(*command)
    worker = wait_for(kernels, process)[0].parent()
    assert worker.pid != process.pid and worker.ppid() == process.pid
    worker.kill()

    stopped = wait_for(under_way, process)
    refused = nvae(*command)
    assert refused.returncode == 2 and f'is being run by process {process.pid} ' in refused.stderr
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130 and 'the same command goes on' in out and 'Traceback' not in out + err, (out, err)
    assert not psutil.wait_procs(family, timeout=30)[1] and not kernels()
    for name in stopped: assert read_status(run(name))['state'] == 'interrupted' and run(name).checkpoint.exists()
    done = models()
    assert done and not set(done) & set(stopped)

    process = start(*command)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0 and '6 of 6 runs done' in out and 'Traceback' not in out + err, (out, err)
    assert list(models()) == NAMES and done.items() <= models().items()
    for name in NAMES:
        tests = [r['step'] for r in read_metrics(run(name).metrics) if r['kind'] == 'test']
        assert tests == ([0, 2, 4] if 'short' in name else [0, 60, 120])
        assert list(run(name).images.glob('samples-t0.7-n4-*.png'))
    check_page()

    done, again = models(), nvae(*command)
    assert again.returncode == 0 and '6 of 6 runs done' in again.stdout and 'at a time' not in again.stdout
    assert models() == done
    listed = json.loads(nvae('runs', '--json').stdout)
    assert [(r['name'], r['state']) for r in listed] == [(name, 'done') for name in sorted(NAMES)]
    assert nvae('runs', '--tail', 'long-seed2').stdout.strip().endswith('done')


def check_page():
    "Every run, the setting that differs, curves and samples, under the plan's name; nothing that a browser would fetch"
    page = Path('runs/night.plan/compare.html').read_text(encoding='utf-8')
    assert all(name in page for name in NAMES) and 'train.epochs' in page and 'model.channels' not in page
    assert '<title>night</title>' in page and page.count('data:image/png') >= 3
    assert not re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?:https?:)?//', page)
    assert 'cdnjs' not in page and 'html-manager' not in page


BAD = {"runs: [{config: nowhere}]": "there is no configuration 'nowhere'",
       "runs: [{config: short.yaml, sedes: [1]}]": "did you mean 'seeds'",
       "runs: [{config: short.yaml}, {config: short.yaml}]": 'two runs are called short',
       "runs: [{config: short.yaml, grid: {lr: []}}]": 'nothing in it',
       "runs: [{config: short.yaml, grid: &g {lr: *g}}]": 'contains itself',
       "runs: [{config: short.yaml, overrides: {n_scale: 2}}]": "did you mean 'n_scales'",
       "runs: [{config: short.yaml, data: nowhere}]": 'neither a folder nor a data set',
       "runs: []": 'nothing in it',
       "runs: [{config: short.yaml, grid: {lr: [0.1, -1]}}]": 'is not possible'}


def test_bad_plans_are_refused_before_anything_starts(place, nvae):
    "One line, and no run begun; from the command line, exit code 2"
    for text, words in BAD.items():
        (place/'night.yaml').write_text(text)
        with pytest.raises(BadInput, match=re.escape(words)) as error: run_plan('night.yaml')
        assert '\n' not in str(error.value)
    done = nvae('schedule', 'night.yaml')
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1 and not (place/'runs').exists()


def test_dry_run_starts_nothing(place, nvae):
    configs = [dict(config='short.yaml'), dict(config='long.yaml')]
    done = nvae('schedule', plan(place, seeds=[0, 1, 2], evaluate=True, runs=configs), '--dry-run')
    assert done.returncode == 0 and not (place/'runs').exists()
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == NAMES


def test_a_vanished_folder_is_found_before_anything_starts(place):
    config = dict(model=MODEL, data=dict(dataset='folder', root='gone'), train=SHORT)
    (place/'short.yaml').write_text(yaml.safe_dump(config))
    night = plan(place, runs=[dict(config='short.yaml')])
    with pytest.raises(BadInput, match='there is no folder .*gone'): run_plan(night)


def test_stopping_a_run_that_nobody_attends_to(tmp_path):
    "Nobody is there: said so; a holder on another machine can't be signalled from here"
    run = RunDir(tmp_path/'a')
    run.path.mkdir()
    write_status(run, state='training', epoch=1, epochs=2)
    with pytest.raises(BadInput, match="isn't being trained .broken."): stop_run(run)
    with held(run):
        run.lock.write_text(json.dumps(dict(pid=1, host='elsewhere')))
        with pytest.raises(BadInput, match='on elsewhere'): stop_run(run, noticed=.2)
    assert not (run.path/'.stop').exists()


def dask(*args):
    "A process of a cluster, as a person starts it"
    command = [sys.executable, '-m', 'dask', *args, '--host', '127.0.0.1', '--scheduler-file', 'cluster.json']
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def test_on_a_cluster_that_is_there(place):
    """A scheduler and a worker as a person starts them; they are still there afterwards. A run that can't be trained is
    reported, once, and the others are"""
    mine = [dask('scheduler', '--port', '0', '--dashboard-address', '127.0.0.1:0'),
            dask('worker', '--nthreads', '1', '--name', 'far', '--preload', 'nvae.schedule.workers')]
    try:
        cluster = wait_for(lambda: 'cluster.json' if os.path.exists('cluster.json') else None, mine[0])
        wrong = dict(config='short.yaml', name='wrong', overrides=dict(tracker='nosuch'))
        process = start('schedule', plan(place, runs=[wrong, dict(config='short.yaml')]), '--cluster', cluster)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 1 and 'Traceback' not in out + err, (out, err)
        assert '1 of 2 runs done' in out and 'short  starting  far' in out, (out, err)
        assert out.count('wrong  starting') == 1 and "wrong: failed: train.tracker: there is no tracker 'nosuch'" in out
        assert [p.poll() for p in mine] == [None, None]
    finally:
        for p in reversed(mine):
            p.terminate()
            p.wait(60)


def test_runs_into_a_pipe_that_is_closed(place):
    "`nvae runs | head` says nothing of it"
    run('a').path.mkdir(parents=True)
    write_status(run('a'), state='done', epoch=1, epochs=1)
    process = start('runs')
    process.stdout.close()
    assert process.wait(60) == 141 and process.stderr.read() == ''
