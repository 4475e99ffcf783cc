"`nvae lab` and `nvae cherry`, as a terminal starts and stops them: an address that answers to its token, and nothing left behind"
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import psutil
import pytest
import torch

from nvae.checkpoint import save_model
from nvae.config import Config, ModelConfig
from nvae.model import NVAE


@pytest.fixture
def model_file(tmp_path):
    "A small untrained model in a folder of runs"
    torch.manual_seed(0)
    cfg = Config(name='small', model=ModelConfig(image_size=16, channels=8, n_groups=1, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2))
    (tmp_path / 'runs/small').mkdir(parents=True)
    return save_model(NVAE(cfg), tmp_path / 'runs/small/small.model')


def nvae(*args, **kw):
    "The command, in a process group of its own, like one that a terminal started"
    return subprocess.Popen([sys.executable, '-c', 'import sys; from nvae.cli import main; sys.exit(main())', *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            start_new_session=True, **kw)


@contextmanager
def running(*args, cwd, **env):
    "(process, address) of an `nvae` that stays, on a machine without a display"
    env = {k: v for k, v in {**os.environ, 'OMP_NUM_THREADS': '1', 'TMPDIR': str(cwd), **env}.items() if k not in ('DISPLAY', 'WAYLAND_DISPLAY')}
    process = nvae(*map(str, args), cwd=cwd, env=env)
    try: yield process, process.stdout.readline().strip()
    finally:
        family = [process, *psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []
        for p in family: p.kill()


def fetched(address): return urllib.request.urlopen(address, timeout=120).read().decode()


def refused(address):
    "Is that page kept from somebody without the token?"
    try:
        with urllib.request.urlopen(address, timeout=60) as reply: return '/login' in reply.url
    except urllib.error.HTTPError as e: return e.code == 403


def stopped(process, how):
    "(exit code, standard error) after a signal; fails where a process or a folder is left behind"
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    os.killpg(process.pid, how)
    _, said = process.communicate(timeout=60)
    _, left = psutil.wait_procs(family, timeout=20)
    assert not left
    return process.returncode, said


def test_cherry_opens_its_notebook_with_the_model_loaded(model_file, tmp_path):
    with running('cherry', model_file, '0.7,0.9', '1', cwd=tmp_path) as (process, address):
        assert address.startswith('http://127.0.0.1:') and '?token=' in address
        assert refused(address.split('?')[0])
        with urllib.request.urlopen(address, timeout=120) as reply: page, allowed = reply.read().decode(), reply.headers['Content-Security-Policy']
        assert "default-src 'self'" in allowed and 'http' not in allowed
        assert '<h1 id="Cherry-pick">' in page and 'CherryBoard(' in page and 'from nvae' not in page
        assert stopped(process, signal.SIGINT) == (0, '')
    assert not list(tmp_path.glob('nvae-*'))


@pytest.mark.parametrize('how,code', [(signal.SIGINT, 0), (signal.SIGTERM, 143)], ids=['ctrl-c', 'sigterm'])
def test_lab_opens_the_book(tmp_path, how, code):
    with running('lab', cwd=tmp_path) as (process, address):
        base, token = address.split('/lab/tree/')[0], address.split('?')[1]
        assert json.loads(fetched(f'{base}/api/contents/nbs/index.ipynb?content=0&{token}'))['type'] == 'notebook'
        assert refused(f'{base}/api/contents')
        assert stopped(process, how) == (code, '')


def test_lab_is_left_in_order_while_it_starts(tmp_path):
    process = nvae('lab', cwd=tmp_path)
    end = time.monotonic() + 60
    while not (family := psutil.Process(process.pid).children(recursive=True)) and time.monotonic() < end: time.sleep(.05)
    assert family and stopped(process, signal.SIGINT)[0] == 0


def test_a_model_that_is_not_there_is_said_before_anything_starts(tmp_path):
    process = nvae('cherry', 'nowhere.model', '0.7', cwd=tmp_path)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2 and 'there is no file nowhere.model' in said and len(said.splitlines()) == 1
