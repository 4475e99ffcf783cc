"The boards' notebooks run as they stand, and boards driven by code where a notebook can't show it"
import json
import re
import shutil
import signal
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbclient import NotebookClient
from small_models import small_run

import nvae.boards.picks
import nvae.boards.server
import nvae.boards.session
import nvae.boards.step
from nvae.boards.cherry import CherryBoard
from nvae.boards.picks import Picks, recreate
from nvae.boards.sample import SampleBoard
from nvae.boards.server import BOARDS, book, with_parameters
from nvae.boards.step import StepBoard
from nvae.cli.main import main
from nvae.errors import BadInput
from nvae.files import find_asset
from nvae.sampling.provenance import like, read_picks

OLD = Path(__file__).parent / 'old'
THERE = [name for name in BOARDS if (find_asset('nbs') / f'{BOARDS[name]}.ipynb').exists()]


@pytest.fixture
def runs(tmp_path):
    "A folder of runs with one small model in it"
    small_run(tmp_path / 'runs', n_groups=2)
    return tmp_path / 'runs'


@pytest.mark.parametrize('name', THERE)
def test_notebook_runs(name, runs, tmp_path):
    path = with_parameters(name, tmp_path, FILE='small', ITERATIONS=1, RUNS=str(runs))
    notebook = nbformat.read(path, 4)
    notebook.cells.append(nbformat.v4.new_code_cell('board.wait().status.text'))
    NotebookClient(notebook, timeout=120, resources={'metadata': {'path': str(tmp_path)}}).execute()
    assert re.search(r'\d m?s\b', notebook.cells[-1].outputs[0].data['text/plain'])


def test_a_board_answers_while_it_draws(runs):
    board = SampleBoard('small', iterations=2, runs=runs).wait()
    gate = threading.Event()
    board.newest.submit(lambda stale: gate.wait(20))
    start = time.monotonic()
    for seed in range(50):
        board.set(seed=seed)
    assert time.monotonic() - start < 2
    assert board.values()['seed'] == 49
    drawn = board.grid.serial
    gate.set()
    board.wait()
    assert board.shown().recipes[0].seed == 49
    assert board.grid.serial == drawn + 1


def test_statistics_are_estimated_once_per_temperature(runs, monkeypatch):
    estimate = nvae.boards.session.estimate_statistics
    asked = []

    def watched(model, temperature, *more):
        asked.append(temperature)
        return estimate(model, temperature, *more)

    monkeypatch.setattr(nvae.boards.session, 'estimate_statistics', watched)
    board = SampleBoard('small', temperature=.7, iterations=1, runs=runs).wait()
    for values in dict(seed=1), dict(temperature=.9), dict(temperature=.7), dict(seed=2), dict(temperature=.9):
        board.set(**values)
        board.wait()
    assert asked == [.7, .9]


def test_a_model_that_vanished_is_said(runs):
    board = SampleBoard('small', iterations=1, runs=runs).wait()
    (runs / 'small/small.model').unlink()
    board.new()
    assert board.wait().status.look == 'calm'
    board.reload()
    with pytest.raises(BadInput, match='there is no file'):
        board.wait()


def test_picks_survive_a_write_that_fails(runs, monkeypatch):
    def full(*_):
        raise OSError(28, 'No space left on device')

    def indices(picks):
        return [pick['recipe']['index'] for pick in picks]

    board = CherryBoard('small', iterations=1, runs=runs).wait()
    board.pick(0)
    monkeypatch.setattr(nvae.boards.picks, 'write_text', full)
    board.pick(1)
    assert 'No space left' in board.note.text
    assert 'not saved' in board.note.text
    assert indices(read_picks(board.picks.path)['picks']) == [0]
    assert indices(board.picks.items) == [0]


def places(items):
    return [pick['recipe']['index'] for pick in items]


def in_tray(board):
    "What the tray shows, by the labels of its tiles: as many as the file has"
    return board.tray.n, places(board.picks.seen)


def test_two_windows_show_what_the_file_holds(runs):
    mine, theirs = (CherryBoard('small', iterations=1, wanted=3, runs=runs).wait() for _ in range(2))
    for index in 4, 2:
        mine.pick(index)
    theirs.pick(7)
    assert in_tray(theirs) == (3, [4, 2, 7])
    assert '3 of 3 picked · 2 picked in another window' in theirs.count.value
    mine.pick(1)
    assert 'all 3 picks are made' in mine.note.text
    assert (mine.note.look, in_tray(mine)) == ('calm', (3, [4, 2, 7]))
    assert '1 picked in another window' in mine.count.value
    theirs.tray.act('move', start=2, to=0)
    mine.tray.act('remove', index=2)
    assert places(mine.picks.items) == [4, 2]
    assert in_tray(mine) == (2, [4, 2])
    theirs.next()
    assert in_tray(theirs.wait()) == (2, [4, 2])
    assert '1 taken out in another window' in theirs.count.value


def test_a_write_that_fails_shows_what_is_on_disk(runs, monkeypatch):
    def full(*_):
        raise OSError(28, 'No space left on device')

    mine, theirs = (CherryBoard('small', iterations=1, runs=runs).wait() for _ in range(2))
    theirs.pick(5)
    monkeypatch.setattr(nvae.boards.picks, 'write_text', full)
    mine.pick(1)
    assert 'not saved' in mine.note.text
    assert in_tray(mine) == (1, [5])


def test_picks_at_two_temperatures_are_made_again(runs):
    board = CherryBoard('small', temperature=.6, iterations=2, runs=runs).wait()
    board.pick(3)
    board.set(temperature=(1., .4), seed=8)
    board.wait().pick(5)
    saved = board.save()
    for file in saved, saved.with_suffix('.json'):
        assert like(file).images.equal(recreate(board.picks.items, board.studio))
    content = json.loads(saved.with_suffix('.json').read_text())
    content['picks'][1]['pixels_sha256'] = '0' * 64
    with pytest.raises(BadInput, match="pick 2 doesn't come out"):
        recreate(content['picks'], board.studio)
    assert len(Picks(board.studio)) == 2


def test_picks_of_an_earlier_nvae_go_on(tmp_path):
    "Their file is named after another hash, and their pixels may be off by one level"
    home = tmp_path / 'runs/colour'
    shutil.copytree(OLD / 'picks', home / 'picks')
    shutil.copy(OLD / 'colour.model', home)
    [before] = (home / 'picks').iterdir()
    board = CherryBoard('colour', iterations=1, runs=tmp_path / 'runs').wait()
    n = len(board.picks)
    assert board.picks.path == before
    assert n == len(json.loads((OLD / 'picks' / before.name).read_text())['picks']) > 0
    board.check()
    assert 'made again' in board.wait().note.text
    board.set(seed=99)
    board.wait().pick(1)
    assert len(read_picks(before)['picks']) == n + 1
    assert [path.name for path in before.parent.iterdir()] == [before.name]


@pytest.mark.parametrize('show', ['samples', 'temperatures', 'BatchNorm'])
def test_what_a_board_saved_is_made_again_to_the_byte(runs, tmp_path, show):
    drawn = dict(temperature=(.9, .6), iterations=1, seed=4, n=3, pixels='sample')
    board = SampleBoard('small', runs=runs, show=show, **drawn).wait()
    saved = board.save(tmp_path / 'a.png')
    again = tmp_path / 'b.png'
    assert main(['sample', '--like', str(saved), '--out', str(again)]) == 0
    assert again.read_bytes() == saved.read_bytes()


def test_a_first_look_is_not_saved(runs):
    board = SampleBoard('small', iterations=1, runs=runs).wait()
    board.present(replace(board.shown(), settled=False))
    with pytest.raises(BadInput, match='first look'):
        board.save()


def test_a_step_is_only_a_number(runs, monkeypatch):
    "Whatever a step shows is with the page already"
    def never(*_):
        raise AssertionError('made in a callback')

    board = StepBoard('small', iterations=1, runs=runs).wait()
    for name in 'trace', 'frame', 'png', 'LitTowers', 'way_of':
        monkeypatch.setattr(nvae.boards.step, name, never)
    way, serial = board.grid.way, board.grid.serial
    for step in way['steps'][1:]:
        board.onward()
        assert f": {step['text']}" in board.told
    assert (board.grid.way is way, board.grid.serial) == (True, serial)
    board.backward()
    assert board.values()['step'] == len(way['steps']) - 2
    assert board.note.text == ''


def test_every_box_of_the_towers_leads_to_a_step_that_lights_it(runs):
    way = StepBoard('small', iterations=1, runs=runs).wait().grid.way
    for row, storey in enumerate(way['storeys']):
        there = [side for side in ('left', 'right') if storey[side]]
        assert set(there) <= set(storey['opens'])
        assert ('middle' in storey['opens']) == (storey['group'] is not None)
        for side, step in storey['opens'].items():
            assert [row, side] in way['steps'][step]['lit']


def test_bars_are_known_once_the_image_was_read(runs):
    "None on the way up, one group more with each posterior, all at the end; and they are the trace's"
    board = StepBoard('small', iterations=1, runs=runs).wait()
    way = board.grid.way
    known = [step['known'] for step in way['steps']]
    posteriors = [step['known'] for step in way['steps'] if 'posterior of' in step['title']]
    assert known == sorted(known)
    assert posteriors == list(range(1, len(way['nats']) + 1))
    assert known[0] == 0
    assert known[-1] == len(way['nats'])
    board.last()
    assert f"{sum(way['nats']):.1f} for the latents" in board.told


def test_the_way_back_keeps_the_step(runs):
    board = StepBoard('small', iterations=1, runs=runs).wait()
    board.new()
    board.wait()
    board.go(5)
    board.back()
    board.wait()
    assert board.values()['step'] == 5
    assert board.values()['seed'] == 0


def test_sigterm_does_afterwards_what_it_did_before(monkeypatch, tmp_path):
    ended = SimpleNamespace(address='http://127.0.0.1', process=SimpleNamespace(wait=lambda: 0))
    monkeypatch.setattr(nvae.boards.server, 'Server', lambda *_, **__: nullcontext(ended))
    monkeypatch.setattr(nvae.boards.server, 'has_display', lambda: False)
    before = signal.getsignal(signal.SIGTERM)
    nvae.boards.server.serve('lab', tmp_path)
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_installation_gets_its_own_workbench(monkeypatch, tmp_path):
    "What is there already stays as it is"
    installed = tmp_path / 'installed'
    shutil.copytree(find_asset('nbs') / 'workbench', installed / 'nbs/workbench')
    home = tmp_path / 'home'
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setattr(nvae.boards.server, 'find_asset', lambda kind: installed / kind)
    assert book() == (home, 'nbs/workbench/01_sample.ipynb')
    changed = home / 'nbs/workbench/03_explore.ipynb'
    changed.write_text('mine')
    (home / 'nbs/workbench/01_sample.ipynb').unlink()
    book()
    assert changed.read_text() == 'mine'
    assert (home / 'nbs/workbench/01_sample.ipynb').exists()
