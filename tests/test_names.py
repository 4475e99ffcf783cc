"A run by its name in place of its file, models that are still trained, and what opens in the browser"
import inspect
import json
import os
from contextlib import contextmanager

import pytest
from small_models import small_run

from nvae.boards import server
from nvae.boards.cherry import CherryBoard
from nvae.boards.controls import ModelPicker
from nvae.boards.explore import ExploreBoard
from nvae.boards.interpolate import InterpolateBoard
from nvae.boards.session import find_model, list_models
from nvae.cli.pictures import explore, interpolate
from nvae.errors import MOST_ON_BOARD, BadInput
from nvae.files import find_asset
from nvae.plots.pictures import read_png_meta
from nvae.runs.checkpoint import load_model, model_file, model_hash
from nvae.runs.folder import RunDir, run_lock, write_status


@pytest.fixture
def cats(tmp_path):
    "The model of a run called cats, in the folder where the commands run"
    return small_run(tmp_path / 'runs', 'cats', n_groups=1)


@pytest.fixture
def opened(monkeypatch):
    "What would have been served to a browser: (server, notebook or folder, page, what is said)"
    seen = []

    def serve(kind, place, page='', about='', **env):
        seen.append((kind, place.read_text() if place.is_file() else place, page, about))
        if place.is_dir(): seen.append(sorted(path.name for path in place.iterdir()))
    monkeypatch.setattr(server, 'serve', serve)
    return seen


def test_every_verb_takes_the_name_of_a_run(nvae, cats, opened):
    assert nvae('info', 'cats').stdout == nvae('info', cats).stdout
    picture = nvae('sample', 'cats', 0.7, 0, '--n', 1).stdout.strip()
    assert picture == 'cats-t0.7-seed0.png'
    assert read_png_meta(picture)['model'] == 'runs/cats/cats.model', 'it is found from elsewhere too'
    assert nvae('sample', '--like', picture).returncode == 0
    assert nvae('encode', 'cats', picture, 'latents.safetensors').returncode == 0
    assert nvae('export', 'cats', 'copy.model').returncode == 0
    assert nvae('cherry', 'cats', 0.7).returncode == 0
    assert nvae('step', 'cats', picture).returncode == 0
    (_, cherry, *_), (_, step, *_) = opened
    assert str(cats) in cherry and str(cats) in step and f'IMAGE = \\"{picture}' in step


def test_a_misspelt_model_or_run_is_named(nvae, cats):
    for written, meant in (('demoo', 'demo'), ('cat', 'cats')):
        assert f"there is no file {written} (did you mean '{meant}'?)" in nvae('info', written).stderr


def test_interpolating_on_a_board_needs_no_image(nvae, cats, opened):
    assert nvae('interpolate', 'cats', '--app').returncode == 0
    [(_, notebook, *_)] = opened
    assert 'IMAGE1 = None' in notebook
    assert nvae('interpolate', 'cats').stderr == "nvae: Missing argument 'IMAGE1'. See nvae interpolate --help\n"


def test_a_run_gives_its_newest_model_or_else_its_best_checkpoint(cats, tmp_path, monkeypatch):
    run = RunDir(cats.parent)
    monkeypatch.chdir(run.path)  # the folder of runs is above
    assert model_file('cats') == model_file(run.path) == cats
    for later, name in enumerate(('last.model', 'cats.checkpoint', 'cats.best.checkpoint'), 1):
        (run.path / name).write_bytes(cats.read_bytes())
        os.utime(run.path / name, (10**10 + later,) * 2)
    assert model_file('cats') == run.path / 'last.model'
    cats.unlink()
    (run.path / 'last.model').unlink()
    assert model_file('cats') == run.best
    run.best.unlink()
    assert model_file('cats') == run.checkpoint
    for name, says in {'dogs': 'no file dogs', '.': 'that of a folder', '..': 'that of a folder'}.items():
        with pytest.raises(BadInput, match=says):
            model_file(name)
    small_run(tmp_path / 'runs', 'demo', n_groups=1)
    assert model_hash(load_model('demo')) != model_hash(load_model(tmp_path / 'runs/demo/demo.model'))
    (run.path / 'cats').write_bytes(b'a file of that name comes first')
    with pytest.raises(BadInput, match='neither a .model'):
        load_model('cats')


@contextmanager
def training(run, **said):
    "Somebody is at a run"
    with run_lock(run):
        write_status(run, state='training', **said)
        yield
    run.status.unlink()


def test_a_model_that_is_still_trained_is_not_chosen_by_itself(cats, tmp_path):
    runs = tmp_path / 'runs'
    newer = small_run(runs, 'dogs', n_groups=1)
    os.utime(newer, (10**10,) * 2)
    assert find_model(None, runs) == newer
    with training(RunDir(newer.parent), epoch=8.6, epochs=32.):
        assert find_model(None, runs) == cats
        assert [*list_models(runs)][:2] == ['cats', 'dogs']
        picker = ModelPicker(runs)
        assert picker.menu.value == str(cats)
        assert picker.menu.options[:2] == (('cats', str(cats)), ('dogs (training, epoch 8 of 32)', str(newer)))
        picker.value = 'dogs'
        assert picker.menu.value == str(newer)
        with training(RunDir(cats.parent)):
            assert find_model(None, runs) == newer, 'there is no other'
    assert find_model(None, runs) == newer


def test_lab_says_what_it_opens_and_shows_the_folder_where_one_is(nvae, opened, tmp_path):
    (tmp_path / 'mine.ipynb').touch()
    assert nvae('lab').returncode == 0
    (_, root, page, about), inside = opened
    assert inside == sorted(['book', tmp_path.name])
    assert page.startswith('lab/tree/book/nbs/index.ipynb?file-browser-path=')
    assert page.endswith(tmp_path.name) and str(tmp_path) in about and 'index.ipynb' in about
    assert not root.exists() and (tmp_path / 'mine.ipynb').exists()


@pytest.mark.parametrize('args,says', {
    'images': (['cherry', 'cats', 0.7, '--n', 400], "'--n': Input should be less than or equal to 100"),
    'passes': (['cherry', 'cats', 0.7, 501], "goes up to 500 of 'iterations'"),
    'samples': (['sample', 'cats', 0.7, '--app', '--n', 101], "goes up to 100 of 'n', and 101 are asked for"),
    'strength': (['explore', 'cats', 0.7, '--app', '--strength', 6], "goes up to 5 of 'strength'"),
    'a seed': (['step', 'cats', '--seed', 2**31], "of 'seed'"),
    'a size of tiles': (['sample', 'cats', 0.7, '--app', '--tile-size', 64], 'leave --tile-size out'),
    'a change': (['explore', 'cats', 0.7, '--app', '--difference'], 'leave --difference out'),
    'an image to step through': (['step', 'cats', 'nowhere.png'], 'there is no image nowhere.png'),
    'what is no image': (['step', 'cats', __file__], "can't be read as an image"),
    'an image to go to': (['interpolate', 'cats', 'nowhere.png', 'a.png', '--app'], 'there is no image nowhere.png'),
    'a group': (['explore', 'cats', 0.7, '--app', '--group', 77], 'no group'),
}.values(), ids=str)
def test_what_a_board_does_not_take_is_refused_before_it_opens(nvae, cats, opened, args, says):
    done = nvae(*args)
    assert done.returncode == 2 and says in done.stderr and len(done.stderr.splitlines()) == 1
    assert not opened


def test_the_most_that_the_command_line_lets_through_is_what_a_board_shows(cats):
    for board in (CherryBoard(cats, n=MOST_ON_BOARD['n'], iterations=0), ExploreBoard(cats, iterations=0, n=2)):
        for name, most in MOST_ON_BOARD.items():
            if name in board.controls: assert board.controls[name].max == most


def test_commands_and_boards_begin_alike():
    "What is said nowhere is the same for the verb, the board, and the board's notebook"
    pages = dict(explore='03_explore', interpolate='04_interpolate')
    for name, verb, board in (('explore', explore, ExploreBoard), ('interpolate', interpolate, InterpolateBoard)):
        by_verb = {key: p.default for key, p in inspect.signature(verb).parameters.items()}
        begun = {key: p.default for key, p in inspect.signature(board).parameters.items()}
        notebook = json.loads((find_asset('nbs') / f'workbench/{pages[name]}.ipynb').read_text())
        page = {}
        for cell in notebook['cells']:
            if 'parameters' in cell['metadata'].get('tags', ()): exec(''.join(cell['source']), page)
        for key in ('n', 'space', 'path', 'seed', 'iterations', 'strength'):
            said = [values[key] for values in (by_verb, begun) if key in values]
            said += [page[key.upper()]] if key.upper() in page else []
            assert len(set(said)) <= 1, (name, key, said)


@pytest.mark.parametrize('verb', ['encode', 'score'])
def test_an_error_speaks_of_what_was_typed(nvae, verb):
    "Those verbs name their images by place, and have no --data"
    out = ['out.safetensors'] if verb == 'encode' else []
    for where, says in {'mnist': 'mnist has images of 1 channel(s)', 'cifar100': "cifar100: neither a folder nor a",
                        'folder': 'folder: neither a folder'}.items():
        done = nvae(verb, 'demo32', where, *out)
        assert done.returncode == 2 and says in done.stderr and '--data' not in done.stderr
    assert '--data mnist has' in nvae('evaluate', 'demo32', '--data', 'mnist').stderr
