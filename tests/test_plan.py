"Plans that are wrong, and runs that can't be stopped: found before anything starts, and said in one line"
import json
import re
import subprocess
import sys

import pytest
import yaml
from training import MODEL, TRAIN

from nvae.config import BadInput
from nvae.dispatch import run_plan
from nvae.rundir import RunDir, held, write_status
from nvae.runs import stop_run

NVAE = [sys.executable, '-c', 'import sys; from nvae.cli import main; sys.exit(main())']
DATA = dict(n_train=16, n_test=8)
SHORT = {**TRAIN, 'epochs': 2, 'checkpoint_every': .5, 'ema_decay': 0}
NAMES = [f'{config}-seed{seed}' for config in ('small', 'wide') for seed in range(3)]


@pytest.fixture
def place(tmp_path, monkeypatch):
    "A folder with two configurations"
    monkeypatch.chdir(tmp_path)
    for name, channels in (('small', 4), ('wide', 8)):
        (tmp_path/f'{name}.yaml').write_text(yaml.safe_dump(dict(model={**MODEL, 'channels': channels}, data=DATA, train=SHORT)))
    return tmp_path


def plan(place, **keys):
    (place/'night.yaml').write_text(yaml.safe_dump(keys))
    return 'night.yaml'


def nvae(*args):
    done = subprocess.run([*NVAE, *map(str, args)], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


BAD = {"runs: [{config: nowhere}]": "there is no configuration 'nowhere'", "runs: [{config: small.yaml, sedes: [1]}]": "did you mean 'seeds'",
       "runs: [{config: small.yaml}, {config: small.yaml}]": 'two runs are called small', "runs: [{config: small.yaml, grid: {lr: []}}]": 'nothing in it',
       "runs: [{config: small.yaml, grid: &g {lr: *g}}]": 'contains itself', "runs: [{config: small.yaml, overrides: {n_scale: 2}}]": "did you mean 'n_scales'",
       "runs: [{config: small.yaml, data: nowhere}]": 'neither a folder nor a data set', "runs: []": 'nothing in it', "runs: [{config: small.yaml, grid: {lr: [0.1, -1]}}]": 'is not possible'}


def test_bad_plans_are_refused_before_anything_starts(place):
    "One line, and no run begun; from the command line, exit code 2"
    for text, words in BAD.items():
        (place/'night.yaml').write_text(text)
        with pytest.raises(BadInput, match=re.escape(words)) as error: run_plan('night.yaml')
        assert '\n' not in str(error.value)
    code, out, err = nvae('schedule', 'night.yaml')
    assert code == 2 and len(err.strip().splitlines()) == 1 and not (place/'runs').exists()


def test_dry_run_starts_nothing(place):
    code, out, err = nvae('schedule', plan(place, seeds=[0, 1, 2], evaluate=True, runs=[dict(config='small.yaml'), dict(config='wide.yaml')]), '--dry-run')
    assert code == 0 and [line.split()[0] for line in out.splitlines()[1:]] == NAMES and not (place/'runs').exists()


def test_a_vanished_folder_is_found_before_anything_starts(place):
    (place/'small.yaml').write_text(yaml.safe_dump(dict(model=MODEL, data=dict(dataset='folder', root='gone'), train=SHORT)))
    with pytest.raises(BadInput, match='there is no folder .*gone'): run_plan(plan(place, runs=[dict(config='small.yaml')]))


def test_stopping_a_run_that_nobody_attends_to(tmp_path):
    "Nobody is there: said so; a holder on another machine can't be signalled from here"
    run = RunDir(tmp_path/'a'); run.path.mkdir()
    write_status(run, state='training', epoch=1, epochs=2)
    with pytest.raises(BadInput, match="isn't being trained .broken."): stop_run(run)
    with held(run):
        run.lock.write_text(json.dumps(dict(pid=1, host='elsewhere')))
        with pytest.raises(BadInput, match='on elsewhere'): stop_run(run, noticed=.2)
    assert not (run.path/'.stop').exists()
