"What nvae writes and where it runs: outputs, closed pipes, narrow terminals, surroundings that aren't tidy"
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from small_models import small_network

from nvae.files import find_asset, put_file
from nvae.runs.checkpoint import save_model
from nvae.runs.folder import append_metrics
from nvae.runs.headless import execute, new_kernel, train_headless

NVAE = [sys.executable, '-c', 'import sys; from nvae.cli.main import main; sys.exit(main())']


def nvae(*args, **options):
    "Run a line as a process of its own"
    return subprocess.run([*NVAE, *map(str, args)], text=True, capture_output=True, errors='replace', **options)


@pytest.fixture
def untidy(tmp_path, monkeypatch):
    "A working folder with braces in its name, modules of its own, foreign settings, a long folder for temporary files"
    place = tmp_path / 'pr{oj} {0}'
    long = tmp_path / ('t' * 90)
    for folder in (place, long): folder.mkdir()
    for name in ('nvae.py', 'random.py', 'torch.py'): (place / name).write_text('raise SystemExit("mine")\n')
    (place / 'matplotlibrc').write_text('backend: none_such\ntext.usetex: True\n')
    specs = tmp_path / 'jupyter/kernels/python3'
    specs.mkdir(parents=True)
    (specs / 'kernel.json').write_text('{"argv": ["/nowhere/python"], "display_name": "gone", "language": "python"}')
    monkeypatch.chdir(place)
    monkeypatch.setattr('tempfile.tempdir', str(long))
    for name in ('LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE', 'ACCELERATE_GRADIENT_ACCUMULATION_STEPS'):
        monkeypatch.setenv(name, '3')
    monkeypatch.setenv('MPLBACKEND', 'none_such')
    monkeypatch.setenv('JUPYTER_PATH', str(tmp_path / 'jupyter'))
    return place


def test_a_notebook_runs_wherever_it_is_started(untidy):
    code = """
import os, random, sys
import matplotlib
import nvae.errors
left = [name for name in os.environ if 'RANK' in name or 'OMPI' in name or 'ACCELERATE' in name]
assert not left and not matplotlib.rcParams['text.usetex'], left
print(sys.executable, nvae.__file__)
"""
    cells = [nbformat.v4.new_code_cell('x = 1', metadata=dict(tags=['parameters'])), nbformat.v4.new_code_cell(code)]
    notebook, output = untidy / 'in.ipynb', untidy / 'out {1}.ipynb'
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)
    with new_kernel() as kernel: execute(notebook, output, dict(x=2), kernel)
    said = nbformat.read(output, 4).cells[-1].outputs[0].text.split()
    package = find_asset('model_configs').parent
    assert said[0] == sys.executable and Path(said[1]).is_relative_to(package)
    left = [path.name for path in Path(untidy.parent).rglob('nvae-*')]
    assert not left


def test_a_notebook_that_can_not_be_written_stays_whole(tmp_path, monkeypatch):
    notebook, output = tmp_path / 'in.ipynb', tmp_path / 'out.ipynb'
    cells = [nbformat.v4.new_code_cell('x = 1', metadata=dict(tags=['parameters']))]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)
    output.write_text('the last whole one')
    def full(*args): raise OSError(28, 'No space left on device')
    monkeypatch.setattr('nvae.files.os.fsync', full)
    with new_kernel() as kernel, pytest.warns(match='free some space'): execute(notebook, output, dict(x=2), kernel)
    assert output.read_text() == 'the last whole one'
    assert sorted(p.name for p in tmp_path.iterdir()) == ['in.ipynb', 'out.ipynb']


@pytest.mark.parametrize('encoding', ['ascii', 'latin-1', 'utf-8'])
def test_a_terminal_that_knows_few_signs_gets_its_lines(encoding):
    done = nvae('configs', 'quickstart', env={**os.environ, 'PYTHONIOENCODING': encoding})
    assert done.returncode == 0 and 'quickstart' in done.stdout, done.stderr
    done = nvae('configs', 'n·ne ± \x1b[31m', env={**os.environ, 'PYTHONIOENCODING': encoding, 'PYTHONUTF8': '0'})
    assert done.returncode == 2 and '\x1b' not in done.stderr and done.stderr.startswith('nvae: '), done.stderr


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='needs a device that is full')
def test_a_full_log_is_said_in_a_line():
    line = [*NVAE, 'configs', 'quickstart']
    with open('/dev/full', 'w') as full: done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stderr.count('\n') == 1 and 'No space left' in done.stderr, done.stderr


def test_what_a_killed_export_leaves_is_gone_after_the_next(tmp_path, monkeypatch):
    def killed(weights, path, header):
        Path(path).with_name('.tmpAb3dE6').touch()  # as safetensors calls its own
        os._exit(9)
    model, path = small_network(), tmp_path / 'm.model'
    pid = os.fork()
    if not pid:
        monkeypatch.setattr('nvae.runs.checkpoint.save_file', killed)
        put_file(path, lambda beside: save_model(model, beside), writes_model=True)
    os.waitpid(pid, 0)
    assert list(tmp_path.rglob('.tmp*'))
    put_file(path, lambda beside: save_model(model, beside), writes_model=True)
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_is_done_clears_what_the_killed_left_too(tmp_path, monkeypatch):
    monkeypatch.setattr('nvae.runs.headless.is_done', lambda cfg, run: True)
    monkeypatch.setattr('nvae.runs.headless.summary_of_run', lambda run: '')
    monkeypatch.setattr('nvae.files._SHORT', 1000)
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    left = tmp_path / 'nvae-999999999-x'
    left.mkdir()
    assert train_headless('quickstart', runs=tmp_path / 'runs') == 0
    assert not left.exists()


def test_every_record_of_a_run_is_on_the_disk_before_the_next_write(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, 'fsync', lambda fd: synced.append((os.fstat(fd).st_ino, os.fstat(fd).st_size)))
    path = tmp_path / 'metrics.jsonl'
    for step in range(3): append_metrics(path, dict(kind='train', step=step))
    sizes = [len(''.join(path.read_text().splitlines(True)[:n])) for n in (1, 2, 3)]
    assert synced == [(path.stat().st_ino, size) for size in sizes]
