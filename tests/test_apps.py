"`nvae lab` and `nvae cherry` in a terminal: an address that answers to its token, and nothing left behind"
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
from small_models import small_run

COMMAND = [sys.executable, '-c', 'import sys; from nvae.cli.main import main; sys.exit(main())']
DISPLAYS = 'DISPLAY', 'WAYLAND_DISPLAY'


@pytest.fixture
def model_file(tmp_path):
    "A small untrained model in a folder of runs"
    return small_run(tmp_path / 'runs', n_groups=1)


def nvae(*args, **options):
    "The command, in a process group of its own, like one that a terminal started"
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen([*COMMAND, *args], start_new_session=True, **pipes, **options)


def descendants(process):
    "The processes that it started, and those that these started"
    return psutil.Process(process.pid).children(recursive=True)


def is_server(process):
    "Is it one of Jupyter's, and not something that Python asks in passing?"
    try:
        return any('jupyter' in word for word in process.cmdline())
    except psutil.Error:
        return False


@contextmanager
def running(*args, cwd, **env):
    "(process, address) of an `nvae` that stays, on a machine without a display"
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'TMPDIR': str(cwd), **env}
    for display in DISPLAYS:
        environment.pop(display, None)
    process = nvae(*map(str, args), cwd=cwd, env=environment)
    try:
        yield process, process.stdout.readline().strip()
    finally:
        family = [process, *descendants(process)] if process.poll() is None else []
        for member in family:
            member.kill()


def fetched(address):
    return urllib.request.urlopen(address, timeout=120).read().decode()


def refused(address):
    "Is that page kept from somebody without the token?"
    try:
        with urllib.request.urlopen(address, timeout=60) as reply:
            return '/login' in reply.url
    except urllib.error.HTTPError as error:
        return error.code == 403


def stopped(process, how):
    "(exit code, standard error) after a signal; fails where a process or a folder is left behind"
    family = descendants(process)
    assert family
    os.killpg(process.pid, how)
    _, said = process.communicate(timeout=60)
    _, left = psutil.wait_procs(family, timeout=20)
    assert not left
    return process.returncode, said


def test_cherry_opens_its_notebook_with_the_model_loaded(model_file, tmp_path):
    with running('cherry', model_file, '0.7,0.9', '1', cwd=tmp_path) as (process, address):
        assert address.startswith('http://127.0.0.1:')
        assert '?token=' in address
        assert refused(address.split('?')[0])
        with urllib.request.urlopen(address, timeout=120) as reply:
            page = reply.read().decode()
            allowed = reply.headers['Content-Security-Policy']
        assert "default-src 'self'" in allowed
        assert 'http' not in allowed
        assert '<h1 id="Cherry-pick">' in page
        assert 'CherryBoard(' in page
        assert 'from nvae' not in page
        assert stopped(process, signal.SIGINT) == (0, '')
    assert not list(tmp_path.glob('nvae-*'))


ENDS = {'ctrl-c': (signal.SIGINT, 0), 'sigterm': (signal.SIGTERM, 143), 'a closed terminal': (signal.SIGHUP, 129)}


@pytest.mark.parametrize('how,code', ENDS.values(), ids=ENDS)
def test_lab_opens_the_book(tmp_path, how, code):
    (tmp_path / 'mine.ipynb').touch()
    (tmp_path / 'mine.png').write_bytes(b'a picture')
    with running('lab', cwd=tmp_path) as (process, address):
        base = address.split('/lab/tree/')[0]
        token = address.split('?')[1]
        for page in ('book/nbs/index.ipynb', f'{tmp_path.name}/mine.ipynb'): # the book, and what lies where one is
            found = json.loads(fetched(f'{base}/api/contents/{page}?content=0&{token}'))
            assert found['type'] == 'notebook'
        assert fetched(f'{base}/files/{tmp_path.name}/mine.png?{token}') == 'a picture'
        assert refused(f'{base}/api/contents')
        assert stopped(process, how) == (code, '')


def test_lab_is_left_in_order_while_it_starts(tmp_path):
    process = nvae('lab', cwd=tmp_path)
    end = time.monotonic() + 60
    while not any(map(is_server, descendants(process))):
        assert time.monotonic() < end
        time.sleep(.05)
    code, _ = stopped(process, signal.SIGINT)
    assert code == 0


def test_a_model_that_is_not_there_is_said_before_anything_starts(tmp_path):
    process = nvae('cherry', 'nowhere.model', '0.7', cwd=tmp_path)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert 'there is no file nowhere.model' in said
    assert len(said.splitlines()) == 1
