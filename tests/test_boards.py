"What every board does with bad input; exploring and interpolating, driven by code where a notebook can't show it"
import re
import shlex
from dataclasses import replace
from pathlib import Path

import ipywidgets as W
import numpy as np
import pytest
import torch
from PIL import Image
from small_models import small_run

import nvae.boards.board
import nvae.boards.session
from nvae.boards.cherry import CherryBoard
from nvae.boards.explore import FRAMES, ExploreBoard
from nvae.boards.interpolate import WAYS, InterpolateBoard
from nvae.boards.sample import SampleBoard
from nvae.boards.step import StepBoard
from nvae.cli.main import main
from nvae.config import DataConfig
from nvae.data.faces import draw_faces
from nvae.errors import BadInput
from nvae.network.model import NVAE
from nvae.plots.pictures import image_grid, png, read_png_meta, to_pil
from nvae.runs.checkpoint import load_model, save_model
from nvae.sampling.directions import load_direction
from nvae.sampling.provenance import like
from nvae.sampling.recipe import as_text, from_text

SMALL = dict(n_bits=5, n_groups=2)
KINDS = dict(
    colour={},
    grey=dict(image_channels=1),
    binary=dict(image_channels=1, n_bits=8, likelihood='bernoulli'),
    rectangle=dict(image_size=[16, 32]),
    flows=dict(n_flows=1),
)
BOARDS = dict(explore=ExploreBoard, interpolate=InterpolateBoard)
ALL = dict(sample=SampleBoard, cherry=CherryBoard, step=StepBoard, **BOARDS)
CONTROLS = W.Button, W.ToggleButton, W.FloatSlider, W.IntSlider, W.BoundedIntText


def model_file(runs, name='small', data=None, **changes):
    return small_run(runs, name, data, **{**SMALL, **changes})


@pytest.fixture
def runs(tmp_path):
    model_file(tmp_path / 'runs')
    return tmp_path / 'runs'


@pytest.fixture(params=BOARDS)
def board(request, runs):
    return BOARDS[request.param]('small', iterations=1, n=3, runs=runs).wait()


@pytest.fixture
def no_demo(monkeypatch):
    "An installation without the kit's own models"
    monkeypatch.setattr(nvae.boards.session, 'own_models', dict)


def face(number=0, size=(40, 60)):
    "A drawn face as the bytes of a PNG"
    drawn, *_ = draw_faces([number], size)
    return png(to_pil(torch.from_numpy(drawn)[0]))


def drop(source, name, data, size=1):
    "Drop a file on the place of a board where images go"
    source.grid.act('file', name=name, data=data, size=size)


def drop_numbered_faces(board):
    "A different face on each place"
    for number, source in enumerate(board.sources):
        drop(source, f'{number}.png', face(number))


def drop_one_face(board):
    "The same face on each place"
    for source in board.sources:
        drop(source, 'face.png', face())


def start_from(board, what):
    "Have the board start from dropped images, where it can start from anything else"
    if board.kind == 'explore':
        board.set(start=what)


def says(board, what):
    with pytest.raises(BadInput, match=what):
        board.wait()


def parts(widget):
    "A widget and all that is in it"
    yield widget
    for child in getattr(widget, 'children', ()):
        yield from parts(child)


def check_comes_out_again(board):
    "What is saved, drawn once more from the file alone, has the same pixels"
    path = board.wait().save()
    again = like(path)
    assert again.images.equal(board.shown().images.cpu())
    assert np.array_equal(np.asarray(Image.open(path)), np.asarray(image_grid(again.images, **again.grid)))


@pytest.mark.parametrize('kind', KINDS)
def test_pictures_of_dropped_images_come_out_again(kind, tmp_path):
    model_file(tmp_path, **KINDS[kind])
    explore, interpolate = (Board('small', iterations=1, n=3, runs=tmp_path).wait() for Board in BOARDS.values())
    drop_numbered_faces(explore)
    drop_numbered_faces(interpolate)
    explorations = (
        dict(start='an image'),
        dict(start='two images', sampled=True),
        dict(show='walk', groups='scale 0', place='3,4'),
        dict(show='variants', difference=4., strength=2.),
    )
    for values in explorations:
        explore.set(**values)
        check_comes_out_again(explore)
    interpolations = (
        {},
        dict(space='noise', path='spherical', groups='scale 1'),
        dict(show='all four ways', sampled=True),
    )
    for values in interpolations:
        interpolate.set(**values)
        check_comes_out_again(interpolate)
    assert 'resized to' in explore.sources[0].about.value


def test_an_image_is_kept_in_the_picture_once(board):
    drop_one_face(board)
    start_from(board, 'two images')
    meta = read_png_meta(board.wait().save())
    assert len(meta['images']) == 1
    assert all(len(recipe['start']['images']) == 2 for recipe in meta['recipes'])


def check_what_is_said_makes_it(board, folder):
    "The code, and the command where there is one, make what the board saves, pixel for pixel; the verb"
    saved = np.asarray(Image.open(board.wait().save(folder / 'saved.png')))
    there = {}
    exec(board.made_by.code.text, there)
    assert np.array_equal(np.asarray(there['picture']), saved)
    line = board.made_by.command.text
    if not line:
        assert 'nvae sample --like' in board.made_by.instead.value
        return ''
    out = folder / 'by_command.png'
    assert main([*shlex.split(line)[1:], '--out', str(out)]) == 0
    assert np.array_equal(np.asarray(Image.open(out)), saved)
    return line.split()[1]


def test_what_a_board_says_makes_its_picture(runs, tmp_path):
    sample = SampleBoard('small', temperature=(.8, .6), iterations=1, seed=4, n=3, runs=runs, pixels='sample')
    assert check_what_is_said_makes_it(sample, tmp_path) == 'sample'
    sample.set(show='BatchNorm')
    assert check_what_is_said_makes_it(sample, tmp_path) == ''
    for name in 'a', 'b':
        (tmp_path / f'{name}.png').write_bytes(face(ord(name)))
    ends = {name: str(tmp_path / f'{name}.png') for name in ('a', 'b')}
    interpolate = InterpolateBoard('small', iterations=1, n=3, runs=runs)
    check_what_is_said_makes_it(interpolate, tmp_path)
    interpolate.set(**ends)
    assert check_what_is_said_makes_it(interpolate, tmp_path) == 'interpolate'
    cherry = CherryBoard('small', iterations=1, n=4, runs=runs).wait()
    cherry.pick(2)
    interpolate.set(a='pick 1', sampled=True)
    assert check_what_is_said_makes_it(interpolate, tmp_path) == ''


def test_an_image_that_is_handed_over_makes_the_same_picture(runs, tmp_path):
    sample = SampleBoard('small', temperature=.8, iterations=1, n=4, runs=runs).wait()
    for index, place in {2: 'a', 3: 'b'}.items():
        sample.hand_over(index, place)
    interpolate = sample.guests['interpolate']
    assert check_what_is_said_makes_it(interpolate, tmp_path) == ''
    cfg = interpolate.studio.model.cfg
    for source, k in zip(interpolate.sources, (2, 3)):
        drawn = from_text(as_text(sample.shown().images[k:k + 1]), cfg)
        assert from_text(source.seen, cfg).equal(drawn)
    sample.hand_over(1, 'explore')
    check_what_is_said_makes_it(sample.guests['explore'], tmp_path)


def test_what_the_step_board_says_shows_its_picture(runs, tmp_path, monkeypatch):
    "The code draws the step that is saved; the command opens a board that shows it"
    asked = {}
    monkeypatch.setattr('nvae.boards.server.open_app', lambda name, theme, **parameters: asked.update(parameters))
    board = StepBoard('small', iterations=1, seed=4, runs=runs).wait()
    file = tmp_path / 'face.png'
    file.write_bytes(face())
    for image, step in {'': 3, str(file): 8}.items():
        board.set(image=image)
        board.wait().go(step)
        saved = np.asarray(Image.open(board.save(tmp_path / 'saved.png')))
        there = {}
        exec(board.made_by.code.text, there)
        assert np.array_equal(np.asarray(there['picture']), saved)
        assert main(shlex.split(board.made_by.command.text)[1:]) == 0
        told = {name.lower(): asked[name] for name in ('FILE', 'TEMPERATURE', 'ITERATIONS', 'SEED', 'IMAGE')}
        again = StepBoard(**told, runs=runs, step=asked['STEP'] - 1).wait()
        assert np.array_equal(np.asarray(Image.open(again.save(tmp_path / 'again.png'))), saved)
    CherryBoard('small', iterations=1, n=4, runs=runs).wait().pick(2)
    board.set(image='pick 1')
    assert board.wait().made_by.command.text == ''
    assert 'takes an image file' in board.made_by.instead.value


def test_the_map_and_the_table_say_how_they_are_made(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for label in 'ab':
        (tmp_path / f'faces/{label}').mkdir(parents=True)
        for number in range(16):
            (tmp_path / f'faces/{label}/{number:02}.png').write_bytes(face(number, (16, 16)))
    board = ExploreBoard('small', iterations=1, n=2, runs=runs, tab='map', map_groups=[1])
    for values in dict(), dict(images='faces', map_groups=[]), dict(tab='who knows what', folder='faces'):
        board.set(**values)
        saved = board.wait().save(tmp_path / 'saved.png')
        there = {}
        exec(board.made_by.code.text, there)
        if values.get('tab'): there['picture'].savefig(tmp_path / 'again.png', dpi=150)
        else: there['picture'].save(tmp_path / 'again.png')
        assert np.array_equal(np.asarray(Image.open(tmp_path / 'again.png')), np.asarray(Image.open(saved)))
        assert board.made_by.command.text == '' and '--like' not in board.made_by.instead.value
    board.set(tab='restore')
    assert board.wait().made_by.code.text == '' and '--like' not in board.made_by.instead.value


def test_what_was_dropped_is_looked_for_where_one_stands(runs):
    board = InterpolateBoard('small', iterations=1, n=3, runs=runs).wait()
    assert board.made_by.more.value == ''
    drop_numbered_faces(board)
    assert '0.png and 1.png' in board.wait().made_by.more.value
    board.set(a='', b='')
    assert board.wait().made_by.more.value == ''


def test_the_tray_says_how_its_picture_is_made(runs, tmp_path):
    board = CherryBoard('small', iterations=1, n=4, runs=runs).wait()
    board.pick(2)
    line = re.search('<code>(.*)</code>', board.made_by.more.value)[1]
    assert main([*shlex.split(line)[1:], '--out', str(tmp_path / 'again.png')]) == 0
    assert (tmp_path / 'again.png').read_bytes() == board.save(tmp_path / 'saved.png').read_bytes()
    board.clear()
    assert 'code' not in board.made_by.more.value


def test_what_is_restored_keeps_its_size(runs):
    board = ExploreBoard('small', iterations=1, n=2, runs=runs, start='an image').wait()
    drop(board.sources[0], 'wide.png', face(3, (40, 60)))
    assert 'resized to 16×16' in board.wait().sources[0].about.value
    board.set(tab='restore')
    assert 'resized' not in board.wait().sources[0].about.value and '60×40' in board.sources[0].about.value
    board.set(tab='groups')
    assert 'resized to 16×16' in board.wait().sources[0].about.value


def test_a_direction_wants_examples_on_both_sides(runs):
    board = ExploreBoard('small', iterations=1, n=2, runs=runs, tab='directions', these='pick 1', name='new').wait()
    board.make_direction()
    says(board, 'to: name the examples')


def test_a_board_that_opens_another_lends_it_the_model(runs, monkeypatch):
    loaded = []
    monkeypatch.setattr(nvae.boards.session, 'load_model', lambda path: loaded.append(path) or load_model(path))
    sample = SampleBoard('small', iterations=1, n=4, runs=runs).wait()
    for index, place in enumerate(('explore', 'a', 'b')):
        sample.hand_over(index, place)
        sample.children[-1].wait()
    assert len(loaded) == 1
    sample.come_back()
    sample.reload()
    sample.wait().hand_over(1, 'explore')
    assert sample.children[-1].wait().studio.model is sample.studio.model and len(loaded) == 2


def test_what_was_being_drawn_is_drawn_when_one_comes_back(runs):
    sample = SampleBoard('small', iterations=1, n=4, runs=runs).wait()
    sample.set(temperature=1.2)
    sample.open_with(sample.shown(), 0, InterpolateBoard, 'a', {})
    sample.children[-1].wait()
    sample.come_back()
    assert sample.wait().shown().recipes[0].temperature == 1.2 and sample.shown().settled
    sample.present(replace(sample.shown(), settled=False))
    with pytest.raises(BadInput, match='go on with an image'):
        sample.hand_over(1, 'explore')


def test_directions_without_a_name_are_those_of_the_command(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'faces').mkdir()
    for number in range(12):
        (tmp_path / f'faces/{number:02}.png').write_bytes(face(number, (16, 16)))
    board = ExploreBoard('small', iterations=1, n=2, runs=runs, tab='directions', data='faces', pca=2).wait()
    board.find_unnamed()
    board.wait()
    assert list(board.values()['slides']) == ['pca 1', 'pca 2']
    assert main(['direction', 'small', 'pca', '--pca', '2', '--data', 'faces']) == 0
    for number in 1, 2:
        found, typed = (load_direction(path, board.studio.model) for path in
                        (runs / f'small/directions/unnamed/pca {number}', f'pca-{number}'))
        assert all(v.equal(w) for v, w in zip(found.vectors, typed.vectors))
    board.keep_slides()
    assert 'give the direction a name' in board.note.text
    board.set(name='mine')
    board.keep_slides()
    assert 'move one' in board.note.text


def test_what_goes_to_the_browser_is_what_is_saved(runs, tmp_path):
    cherry = CherryBoard('small', iterations=1, n=4, runs=runs).wait()
    cherry.pick(1)
    saved = cherry.save(tmp_path / 'picks.png')
    for file in saved, saved.with_suffix('.json'):
        taken = cherry.take(file.suffix)
        assert (taken.name, taken.content) == (file.name, file.read_bytes())
    assert cherry.note.text == 'picks.json went to the browser'
    cherry.save()
    assert cherry.copy_path.text == str((runs / 'small/pictures/picks.png').resolve())
    cherry.next()
    assert (cherry.wait().note.text, cherry.copy_path.text) == ('', '')


@pytest.mark.parametrize('content, said', [
    (b'', 'is empty'),
    (b'notes', "can't be read as an image"),
    (face()[:300], "can't be read as an image"),
])
def test_a_file_that_is_no_image(board, content, said):
    start_from(board, 'an image')
    board.wait()
    place = board.sources[0]
    drop(place, 'bad.png', content, size=len(content))
    says(board, said)
    if content:
        assert 'still a sample' in place.about.value
    drop(place, 'good.png', face())
    assert board.wait().note.text == ''
    assert board.status.look == 'calm'


@pytest.mark.parametrize('kind', ALL)
def test_every_control_says_what_it_is_for(kind, runs):
    board = ALL[kind]('small', iterations=1, runs=runs).wait()
    board.set(temperature=[.7, .8])
    controls = [part for part in parts(board) if isinstance(part, CONTROLS)]
    silent = [control.description for control in controls if not control.tooltip]
    assert not silent


@pytest.mark.parametrize('kind', ALL)
def test_every_button_answers_in_words_where_there_is_no_model(kind, tmp_path, no_demo):
    board = ALL[kind](iterations=1, runs=tmp_path / 'runs')
    buttons = [part for part in parts(board) if isinstance(part, W.Button)]
    for button in buttons:
        button.click()
        with pytest.raises(BadInput) as error:
            board.wait()
        assert 'Error' not in str(error.value), button.description
        assert 'Error' not in board.note.text, button.description


@pytest.mark.parametrize('kind', ALL)
def test_no_widget_is_made_while_it_draws(kind, runs, monkeypatch):
    "A page of Voila that is being opened would miss it"
    made = []

    class Counted(nvae.boards.board.Newest):
        def submit(self, request):
            def watched(stale):
                W.Widget.on_widget_constructed(made.append)
                try:
                    request(stale)
                finally:
                    W.Widget.on_widget_constructed(None)

            super().submit(watched)

    monkeypatch.setattr(nvae.boards.board, 'Newest', Counted)
    temperature = .7 if kind == 'cherry' else (.7, .9)
    board = ALL[kind]('small', temperature, iterations=1, runs=runs)
    gone_on = board.newest.wait(60)
    assert not made and gone_on is None


@pytest.mark.parametrize('kind', ALL)
def test_no_model_yet(kind, tmp_path, no_demo):
    board = ALL[kind](iterations=1, runs=tmp_path / 'runs')
    says(board, 'no model yet: `nvae train quickstart`')
    model_file(tmp_path / 'runs')
    board.reload()
    assert board.wait().status.look == 'calm'
    assert 'small: 16×16' in board.about.value


@pytest.mark.parametrize('kind', ALL)
def test_what_a_board_says_of_bad_values_and_files(kind, runs):
    board = ALL[kind]('small', iterations=1, runs=runs).wait()
    for temperature in 2.5, -.1, [.7, 3.]:
        with pytest.raises(BadInput, match='outside 0–2'):
            board.set(temperature=temperature)
    whole = runs / 'small/small.model'
    broken = runs / 'small/broken.model'
    broken.write_bytes(whole.read_bytes()[:5000])
    for file, said in {broken: 'broken.model', runs / 'small/gone.model': 'there is no file'}.items():
        board.set(file=str(file))
        says(board, said)
    board.set(file=str(whole), seed=3)
    assert board.wait().status.look == 'calm'
    assert board.values()['seed'] == 3


@pytest.mark.parametrize('kind', ['explore', 'interpolate', 'step'])
def test_picks_of_a_model_that_has_changed_are_not_mixed_in(kind, runs):
    cherry = CherryBoard('small', iterations=1, runs=runs).wait()
    cherry.pick(2)
    place = 'image' if kind == 'step' else 'a'
    values = {place: 'pick 1'}
    if kind == 'explore':
        values['start'] = 'an image'
    board = ALL[kind]('small', iterations=1, runs=runs, **values).wait()
    saved = cherry.save()
    torch.manual_seed(1)
    save_model(NVAE(board.studio.model.config), runs / 'small/small.model')
    board.reload()
    says(board, 'there is no pick 1; this model has 0 picks')
    for file in saved, saved.with_suffix('.json'):
        with pytest.raises(BadInput, match='no longer, the model'):
            like(file)
    cherry.reload()
    assert cherry.wait().tray.n == 0
    assert 'earlier version' in cherry.old.value


def test_values_that_are_not_possible(board):
    impossible = (
        (dict(temperature=2.5), 'outside 0–2'),
        (dict(groups='9'), 'no group'),
        (dict(sampeld=True), 'sampled'),
        (dict(ending='.mp4'), 'not possible'),
    )
    for values, said in impossible:
        with pytest.raises(BadInput, match=said):
            board.set(**values)
    assert board.wait().values()['temperature'] == .7
    with pytest.raises(BadInput, match='outside 0–2'):
        type(board)('small', temperature=-1, runs=board.studio.runs).wait()


def test_what_went_wrong_stands_at_its_control_and_the_last_good_stays_named(runs):
    board = ExploreBoard('small', iterations=1, n=2, start='an image', runs=runs).wait()
    place, kept = board.sources[0], board.values()['file']
    drop(place, 'good.png', face())
    board.wait()
    board.set(a='gone.png')
    says(board, 'gone.png')
    assert 'gone.png' in board.complaints['a'].text
    assert 'still dropped good.png' in place.about.value
    board.set(a='', file=str(runs / 'nowhere.model'))
    says(board, 'no file')
    assert 'nowhere.model' in board.complaints['file'].text
    assert board.values()['file'] == kept
    board.set(seed=3)
    assert board.wait().complaints['a'].text == ''


def test_a_model_that_vanished(board, runs):
    (runs / 'small/small.model').unlink()
    board.set(seed=5)
    assert board.wait().status.look == 'calm'
    board.reload()
    says(board, 'there is no file')
    assert board.save().exists()  # what is to be seen can still be saved


def test_another_model_lets_go_of_what_it_has_not(board, runs):
    other = model_file(runs, 'other', n_scales=1, n_groups=1)
    board.set(groups='scale 1')
    board.wait().set(file=str(other))
    assert board.wait().values()['groups'] == []
    assert board.status.look == 'calm'


def test_what_lies_above_is_kept(runs):
    board = ExploreBoard('small', iterations=1, n=3, groups=3, runs=runs).wait()
    walk = board.studio.model.walk
    first_groups = []

    def watched(choose, n=1, resume=None):
        first_groups.append(None if resume is None else resume[0])
        return walk(choose, n, resume)

    board.studio.model.walk = watched
    board.vary()
    board.wait()
    assert first_groups == [3]
    board.set(groups=1)
    board.wait()
    assert first_groups == [3, 1]
    board.set(seed=1)
    board.wait()
    assert first_groups == [3, 1, None, 1]


def test_a_walk_is_a_film_and_closes(runs):
    board = ExploreBoard('small', iterations=1, show='walk', groups=0, runs=runs).wait()
    images = board.shown().images
    steps = (images - images.roll(-1, 0)).abs().mean((1, 2, 3))
    assert len(images) == FRAMES
    assert steps[-1] < 2 * steps.median()
    assert board.grid.film_of == [0, FRAMES, board.ms_per_frame]


def test_mixing_takes_all_from_one_at_the_ends(runs):
    board = ExploreBoard('small', iterations=1, groups=0, n=1, runs=runs).wait()
    drop_numbered_faces(board)

    def first(**values):
        board.set(**values)
        return board.wait().shown().images[0]

    alone = first(start='an image')
    all_coarse, one_coarse, none_coarse = (first(start='two images', n_coarse=k) for k in (2, 1, 0))
    assert all_coarse.equal(alone)
    assert not one_coarse.equal(alone)
    assert not none_coarse.equal(all_coarse)


def test_only_faces_have_factors_by_themselves(tmp_path):
    model_file(tmp_path, 'digits', DataConfig(dataset='mnist'), image_channels=1)
    board = ExploreBoard('digits', iterations=1, runs=tmp_path, tab='who knows what')
    says(board, 'mnist')
    for number in range(40):
        label = tmp_path / 'labels' / ('dark' if number % 2 else 'light')
        label.mkdir(parents=True, exist_ok=True)
        shade = 20 + number if number % 2 else 160 + number
        Image.new('L', (16, 16), shade).save(label / f'{number}.png')
    board.set(folder=str(tmp_path / 'labels'))
    assert board.wait().table.value.count('<tr>') == 2
    assert '<td class="nvae-chance">0.5' in board.table.value


@pytest.mark.parametrize('kind', KINDS)
def test_every_tab_of_the_exploring_board_draws_what_comes_out_again(kind, tmp_path):
    model_file(tmp_path, **KINDS[kind])
    board = ExploreBoard('small', iterations=1, n=2, runs=tmp_path).wait()
    drop_numbered_faces(board)
    board.set(tab='mixing desk', desk={0: ['seed', .8, 3], 1: ['B', .5]}, pad=[1., -.5])
    check_comes_out_again(board)
    board.set(tab='map', map_groups=[0])
    board.wait().set(map=dict(these=[0, 1], those=[2, 3]), name='other')
    assert board.values()['these'] == board.values()['those'] == 'map'
    board.make_direction()
    board.wait().set(tab='directions', start='a sample', slides=dict(other=[2., 1, 3]))
    check_comes_out_again(board)
    board.set(tab='restore', strokes=[[.1, .4, .5, .6, .5]], answers=2)
    if kind == 'flows':
        says(board, "it can't restore images")
    else:
        check_comes_out_again(board)


def test_a_walk_in_place_leaves_the_picture_and_the_way_back(runs):
    board = ExploreBoard('small', iterations=1, n=3, runs=runs).wait()
    before, steps = board.shown(), len(board.history)
    board.set(walking='2')
    board.wait()
    assert board.grid.film_of == [2 * 4, FRAMES, board.ms_per_frame]
    assert board.shown() is before and len(board.history) == steps
    board.vary()
    board.wait()
    assert board.grid.film_of[0] == 2 * 4  # it goes on beside the new variants
    board.set(walking='')
    assert board.grid.film_of == []


def test_new_needs_chance(board):
    start_from(board, 'an image')
    drop_one_face(board)
    board.wait().new()
    assert 'by chance' in board.note.text
    assert board.values()['seed'] == 0


def choose_strip(board, way):
    "A click on one of the four strips"
    board.grid.act('choose', index=WAYS.index(way), serial=board.grid.serial)


def test_the_board_and_the_command_go_the_same_way_by_themselves(runs, tmp_path, monkeypatch):
    "Without a word from anybody: the same space, path and number of steps"
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        Path(f'{number}.png').write_bytes(face(number))
    assert main(['interpolate', str(runs / 'small/small.model'), '0.png', '1.png', '--out', 'i.png']) == 0
    board = InterpolateBoard('small', iterations=1, runs=runs, a='0.png', b='1.png').wait()
    [of_command], [of_board] = like('i.png').recipes, board.shown().recipes
    assert (of_board.passage, of_board.n) == (of_command.passage, of_command.n)
    assert like('i.png').images.equal(board.shown().images)


@pytest.mark.parametrize('groups, reached', [([], True), (['scale 0', 'scale 1'], True), (['0'], False)])
def test_a_way_that_ends_before_b_says_so(runs, groups, reached):
    board = InterpolateBoard('small', iterations=1, n=3, groups=groups, runs=runs).wait()
    film = board.shown().traits['film']
    all_move = InterpolateBoard('small', iterations=1, n=3, runs=runs).wait().shown().traits['film']
    assert board.grid.reached is reached
    assert torch.allclose(film[-1], all_move[-1], atol=1e-5) == reached


def test_the_slider_asks_the_network_nothing(runs):
    board = InterpolateBoard('small', iterations=1, n=3, runs=runs).wait()
    serial, ticket = board.grid.serial, board.newest.ticket
    for position in 0, .3, 1, .5:
        board.set(position=position)
        assert board.values()['position'] == position
    assert (board.grid.serial, board.newest.ticket) == (serial, ticket)
    with pytest.raises(BadInput, match='nearest'):
        board.set(position=1.5)


def test_ways_that_were_seen_are_not_drawn_again(runs):
    board = InterpolateBoard('small', iterations=1, n=3, runs=runs).wait()
    drawn = []
    studio_draw = board.studio.draw
    board.studio.draw = lambda recipes, *more: drawn.extend(recipes) or studio_draw(recipes, *more)
    choose_strip(board, ('z', 'linear'))
    board.wait()
    assert [recipe.n for recipe in drawn] == [board.grid.n + 2]  # the strip was there; only the film was not
    choose_strip(board, ('noise', 'spherical'))
    board.wait()
    assert len(drawn) == 1
    assert (board.values()['space'], board.values()['path']) == ('noise', 'spherical')


def test_the_chosen_strip_is_what_is_saved(runs, tmp_path):
    board = InterpolateBoard('small', iterations=1, n=3, runs=runs).wait()
    choose_strip(board, ('z', 'spherical'))
    board.wait()
    saved = like(board.save(tmp_path / 'one.png'))
    assert [recipe.passage.space for recipe in saved.recipes] == ['z']
    board.set(show='all four ways')
    saved = like(board.wait().save(tmp_path / 'four.png'))
    ways = [(recipe.passage.space, recipe.passage.path) for recipe in saved.recipes]
    assert tuple(ways) == WAYS
