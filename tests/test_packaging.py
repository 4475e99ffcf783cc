"A wheel, installed elsewhere, is the whole kit: the command, the configurations, the notebooks that it runs"
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from importlib.metadata import metadata
from pathlib import Path

import pytest
import torch
from test_apps import fetched, running, stopped

from nvae.config import ModelConfig
from nvae.network.model import NVAE
from nvae.runs.checkpoint import save_model

ROOT = Path(__file__).resolve().parents[1]
PIP = sys.executable, '-m', 'pip'
OFFLINE = '--quiet', '--no-deps', '--no-index'


def settings():
    ini = ConfigParser(delimiters=['='])
    ini.read(ROOT / 'settings.ini', encoding='utf-8')
    return ini['DEFAULT']


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    "Built without network, from a copy that holds what git would hand to somebody else"
    copy, out = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('wheel')
    every = ['git', 'ls-files', '-co', '--exclude-standard', '-z']
    listed = subprocess.run(every, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split('\0')):
        if not (ROOT / name).is_file(): continue
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    subprocess.run([*PIP, 'wheel', *OFFLINE, '--no-build-isolation', '--wheel-dir', out, copy], check=True)
    return next(out.glob('*.whl'))


@pytest.fixture(scope='module')
def elsewhere(wheel, tmp_path_factory):
    "The wheel installed into a folder of its own: run(*command) runs there, with that folder before everything else"
    folder, cwd = tmp_path_factory.mktemp('installed'), tmp_path_factory.mktemp('cwd')
    subprocess.run([*PIP, 'install', *OFFLINE, '--target', folder, wheel], check=True)
    env = {**os.environ, 'PYTHONPATH': str(folder), 'OMP_NUM_THREADS': '1'}
    def run(*command):
        return subprocess.run([sys.executable, *command], cwd=cwd, env=env, capture_output=True, text=True)
    run.folder = folder
    return run


def test_wheel_holds_modules_configurations_and_run_notebooks(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {str(p.relative_to(ROOT)) for p in (ROOT / 'nvae').rglob('*.py')} - {'nvae/_modidx.py'} | {'nvae/py.typed'}
    folders = 'model_configs', 'models', 'nbs/workbench', 'nbs/assets'
    carried = {f'nvae/{p.relative_to(ROOT)}' for folder in folders for p in (ROOT / folder).glob('*.*')}
    assert ours | carried <= names
    assert not {n for n in names if n.startswith(('nvae/', 'tests/', 'nbs/', 'docs/'))} - ours - carried


def test_metadata_is_what_settings_ini_says(wheel):
    name = next(n for n in zipfile.ZipFile(wheel).namelist() if n.endswith('METADATA'))
    text, ini = zipfile.ZipFile(wheel).read(name).decode(), settings()
    required = set(re.findall(r'^Requires-Dist: ([\w-]+)', text, re.M))
    declared = {re.match(r'[\w-]+', r)[0] for r in (ini['requirements'] + ' ' + ini['dev_requirements']).split()}
    assert {name.replace('_', '-') for name in declared} == {name.replace('_', '-') for name in required}
    assert f"Version: {ini['version']}\n" in text and f"Requires-Python: >={ini['min_python']}\n" in text
    assert 'License-Expression: Apache-2.0' in text or 'License: Apache-2.0' in text
    assert metadata('nvae')['Summary'] == ini['description']


def test_import_comes_from_the_installation_and_finds_its_files(elsewhere):
    code = """
import nvae
from nvae.files import find_asset
print(nvae.__version__, nvae.__file__, find_asset("nbs") / "workbench/00_train.ipynb", find_asset("model_configs"))"""
    done = elsewhere('-c', code)
    version, package, notebook, configs = done.stdout.split()
    assert version == settings()['version']
    assert Path(package).parent == elsewhere.folder / 'nvae'
    assert Path(notebook).is_file() and Path(notebook).is_relative_to(elsewhere.folder)
    assert Path(configs) == elsewhere.folder / 'nvae/model_configs'


def test_command_works_outside_the_repository(elsewhere):
    command = elsewhere.folder / 'bin/nvae'
    assert 'Commands:' in elsewhere(command, '--help').stdout
    assert 'quickstart ' in elsewhere(command, 'configs', 'quickstart').stdout
    assert 'train.checkpoint_every' in elsewhere(command, 'train', 'quickstart', '--set', 'checkpoint_every=-1').stderr


def test_a_board_and_the_book_open_from_an_installation(elsewhere, tmp_path):
    torch.manual_seed(0)
    cfg = ModelConfig(image_size=16, channels=8, n_groups=1, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2)
    model = save_model(NVAE(cfg), tmp_path / 'small.model')
    installed = dict(cwd=tmp_path, PYTHONPATH=str(elsewhere.folder))
    with running('sample', model, '0.7', '1', '--app', **installed) as (process, address):
        assert 'SampleBoard(' in fetched(address)
        assert stopped(process, signal.SIGINT) == (0, '')
    told = elsewhere('-c', 'from nvae.boards.server import book; print(*book())').stdout
    assert told.split()[1] == 'nbs/workbench/01_sample.ipynb'
