"What every board does with bad input; exploring and interpolating, driven by code where a notebook can't show it"
import ipywidgets as W
import numpy as np
import pytest
import torch
from PIL import Image

import nvae.studio
from nvae.checkpoint import save_model
from nvae.cherry_board import CherryBoard
from nvae.config import BadInput, Config, DataConfig, ModelConfig
from nvae.explore_board import FRAMES, ExploreBoard
from nvae.faces import draw_faces
from nvae.interpolate_board import InterpolateBoard
from nvae.model import NVAE
from nvae.recipe import like, read_png_meta
from nvae.sample_board import SampleBoard
from nvae.step_board import StepBoard
from nvae.viz import image_grid, png, to_pil

SMALL = dict(image_size=16, n_bits=5, channels=8, n_groups=2, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2)
KINDS = dict(colour={}, grey=dict(image_channels=1), binary=dict(image_channels=1, n_bits=8, likelihood='bernoulli'), rectangle=dict(image_size=[16, 32]), flows=dict(n_flows=1))
BOARDS = dict(explore=ExploreBoard, interpolate=InterpolateBoard)
ALL = dict(sample=SampleBoard, cherry=CherryBoard, step=StepBoard, **BOARDS)


def model_file(runs, name='small', data=None, **changes):
    torch.manual_seed(0)
    (runs / name).mkdir(parents=True, exist_ok=True)
    return save_model(NVAE(Config(name=name, model=ModelConfig(**{**SMALL, **changes}), data=data or DataConfig())), runs / name / f'{name}.model')


@pytest.fixture
def runs(tmp_path):
    model_file(tmp_path / 'runs')
    return tmp_path / 'runs'


@pytest.fixture(params=BOARDS)
def board(request, runs): return BOARDS[request.param]('small', iterations=1, n=3, runs=runs).wait()


def face(number=0, size=(40, 60)): return png(to_pil(torch.from_numpy(draw_faces([number], size)[0])[0]))


def comes_out_again(board):
    "What is saved, drawn once more from the file alone, has the same pixels"
    path = board.wait().save()
    again = like(path)
    return again.images.equal(board.shown().images.cpu()) and np.array_equal(np.asarray(Image.open(path)), np.asarray(image_grid(again.images, **again.grid)))


@pytest.mark.parametrize('kind', KINDS)
def test_pictures_of_dropped_images_come_out_again(kind, tmp_path):
    model_file(tmp_path, **KINDS[kind])
    explore, interpolate = (B('small', iterations=1, n=3, runs=tmp_path).wait() for B in BOARDS.values())
    for board in explore, interpolate:
        for k, source in enumerate(board.sources): source.grid.act('file', name=f'{k}.png', data=face(k), size=1)
    for values in dict(start='an image'), dict(start='two images', sampled=True), dict(show='walk', groups='scale 0', place='3,4'), dict(show='variants', difference=4., strength=2.):
        explore.set(**values)
        assert comes_out_again(explore)
    for values in {}, dict(space='noise', path='spherical', groups='scale 1'), dict(show='all four ways', sampled=True):
        interpolate.set(**values)
        assert comes_out_again(interpolate)
    assert 'resized to' in explore.sources[0].about.value


def test_an_image_is_kept_in_the_picture_once(board):
    for source in board.sources: source.grid.act('file', name='face.png', data=face(), size=1)
    if board.kind == 'explore': board.set(start='two images')
    meta = read_png_meta(board.wait().save())
    assert len(meta['images']) == 1 and all(len(r['start']['images']) == 2 for r in meta['recipes'])


@pytest.mark.parametrize('content, said', [(b'', 'is empty'), (b'notes', "can't be read as an image"), (face()[:300], "can't be read as an image")])
def test_a_file_that_is_no_image(board, content, said):
    if board.kind == 'explore': board.set(start='an image'); board.wait()
    board.sources[0].grid.act('file', name='bad.png', data=content, size=len(content))
    with pytest.raises(BadInput, match=said): board.wait()
    if content: assert board.sources[0].grid.n == 0
    board.sources[0].grid.act('file', name='good.png', data=face(), size=1)
    assert board.wait().note.text == '' and board.status.look == 'calm'


def says(board, what):
    with pytest.raises(BadInput, match=what): board.wait()


def parts(widget):
    "A widget and all that is in it"
    yield widget
    for child in getattr(widget, 'children', ()): yield from parts(child)


@pytest.mark.parametrize('kind', ALL)
def test_every_control_says_what_it_is_for(kind, runs):
    board = ALL[kind]('small', iterations=1, runs=runs).wait()
    board.set(temperature=[.7, .8])
    silent = [w.description for w in parts(board) if isinstance(w, (W.Button, W.ToggleButton, W.FloatSlider, W.IntSlider, W.BoundedIntText)) and not w.tooltip]
    assert not silent


@pytest.mark.parametrize('kind', ALL)
def test_every_button_answers_in_words_where_there_is_no_model(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(nvae.studio, 'demo_file', lambda: None)
    board = ALL[kind](iterations=1, runs=tmp_path / 'runs')
    for b in [w for w in parts(board) if isinstance(w, W.Button)]:
        b.click()
        with pytest.raises(BadInput) as e: board.wait()
        assert 'Error' not in str(e.value) + board.note.text, b.description


@pytest.mark.parametrize('kind', ALL)
def test_no_model_yet(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(nvae.studio, 'demo_file', lambda: None)
    board = ALL[kind](iterations=1, runs=tmp_path / 'runs')
    says(board, 'no model yet: `nvae train quickstart`')
    model_file(tmp_path / 'runs')
    board.reload()
    assert board.wait().status.look == 'calm' and 'small: 16×16' in board.about.value


@pytest.mark.parametrize('kind', ALL)
def test_what_a_board_says_of_bad_values_and_files(kind, runs):
    board = ALL[kind]('small', iterations=1, runs=runs).wait()
    for temperature in 2.5, -.1, [.7, 3.]:
        with pytest.raises(BadInput, match='outside 0–2'): board.set(temperature=temperature)
    (broken := runs / 'small/broken.model').write_bytes((runs / 'small/small.model').read_bytes()[:5000])
    for file, said in {broken: 'broken.model', runs / 'small/gone.model': 'there is no file'}.items():
        board.set(file=str(file))
        says(board, said)
    board.set(file=str(runs / 'small/small.model'), seed=3)
    assert board.wait().status.look == 'calm' and board.values()['seed'] == 3


@pytest.mark.parametrize('kind', ['explore', 'interpolate', 'step'])
def test_picks_of_a_model_that_has_changed_are_not_mixed_in(kind, runs):
    cherry = CherryBoard('small', iterations=1, runs=runs).wait()
    cherry.pick(2)
    place = 'image' if kind == 'step' else 'a'
    board = ALL[kind]('small', iterations=1, runs=runs, **{place: 'pick 1'}, **dict(start='an image') if kind == 'explore' else {}).wait()
    saved = cherry.save()
    torch.manual_seed(1)
    save_model(NVAE(board.studio.model.config), runs / 'small/small.model')
    board.reload()
    says(board, 'there is no pick 1; this model has 0 picks')
    for file in saved, saved.with_suffix('.json'):
        with pytest.raises(BadInput, match='no longer, the model'): like(file)
    cherry.reload()
    assert cherry.wait().tray.n == 0 and 'earlier version' in cherry.old.value


def test_values_that_are_not_possible(board):
    for values, said in ((dict(temperature=2.5), 'outside 0–2'), (dict(groups='9'), 'no group'), (dict(sampeld=True), 'sampled'), (dict(ending='.mp4'), 'not possible')):
        with pytest.raises(BadInput, match=said): board.set(**values)
    assert board.wait().values()['temperature'] == .7
    with pytest.raises(BadInput, match='outside 0–2'): type(board)('small', temperature=-1, runs=board.studio.runs).wait()


def test_a_model_that_vanished(board, runs):
    (runs / 'small/small.model').unlink()
    board.set(seed=5)
    assert board.wait().status.look == 'calm'
    board.reload()
    with pytest.raises(BadInput, match='there is no file'): board.wait()
    assert board.save().exists()  # what is to be seen can still be saved


def test_another_model_lets_go_of_what_it_has_not(board, runs):
    other = model_file(runs, 'other', n_scales=1, n_groups=1)
    board.set(groups='scale 1')
    board.wait().set(file=str(other))
    assert board.wait().values()['groups'] == [] and board.status.look == 'calm'


def test_what_lies_above_is_kept(runs):
    board = ExploreBoard('small', iterations=1, n=3, groups=3, runs=runs).wait()
    walks = []
    walk = board.studio.model.walk
    board.studio.model.walk = lambda choose, n=1, resume=None: walks.append(resume and resume[0]) or walk(choose, n, resume)
    board.vary()
    board.wait()
    assert walks == [3]
    board.set(groups=1)
    assert board.wait() and walks == [3, 1]
    board.set(seed=1)
    assert board.wait() and walks == [3, 1, None, 1]


def test_a_walk_is_a_film_and_closes(runs):
    board = ExploreBoard('small', iterations=1, show='walk', groups=0, runs=runs).wait()
    images = board.shown().images
    steps = (images - images.roll(-1, 0)).abs().mean((1, 2, 3))
    assert len(images) == FRAMES and steps[-1] < 2 * steps.median() and board.grid.image[8:12] == b'WEBP'


def test_mixing_takes_all_from_one_at_the_ends(runs):
    board = ExploreBoard('small', iterations=1, groups=0, n=1, runs=runs).wait()
    for k, source in enumerate(board.sources): source.grid.act('file', name=f'{k}.png', data=face(k), size=1)
    def first(**values): board.set(**values); return board.wait().shown().images[0]
    alone, both = first(start='an image'), [first(start='two images', n_coarse=k) for k in (2, 1, 0)]
    assert both[0].equal(alone) and not both[1].equal(alone) and not both[2].equal(both[0])


def test_only_faces_have_factors(tmp_path):
    model_file(tmp_path, 'digits', DataConfig(dataset='mnist'), image_channels=1)
    board = ExploreBoard('digits', iterations=1, runs=tmp_path).wait()
    board.know()
    with pytest.raises(BadInput, match='mnist'): board.wait()


def test_new_needs_chance(board):
    if board.kind == 'explore': board.set(start='an image')
    for source in board.sources: source.grid.act('file', name='face.png', data=face(), size=1)
    board.wait().new()
    assert 'by chance' in board.note.text and board.values()['seed'] == 0
