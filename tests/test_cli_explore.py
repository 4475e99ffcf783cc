"`nvae sample --like`, explore, interpolate, reconstruct, evaluate and import: what they leave behind, and bad input"
import argparse
import importlib.util
import json
import os
import re
import shlex

import numpy as np
import pytest
import torch
from PIL import Image

from nvae.config import Config, ModelConfig
from nvae.data.images import open_image
from nvae.interop import to_official
from nvae.network.model import NVAE
from nvae.plots.pictures import read_png_meta
from nvae.runs import checkpoint
from nvae.runs.checkpoint import load_model, save_model

TINY = dict(image_size=16, channels=8, n_groups=1, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2)


def small(**settings):
    "A network that was never trained"
    torch.manual_seed(0)
    return NVAE(Config(name='small', model=ModelConfig(**{**TINY, **settings}))).eval()


@pytest.fixture(scope='session')
def model_file(tmp_path_factory):
    return save_model(small(), tmp_path_factory.mktemp('models') / 'small.model')


@pytest.fixture
def pictures(tmp_path):
    "A folder of ten images that are not of the model's size"
    (tmp_path / 'pictures').mkdir()
    for i in range(10):
        Image.effect_noise((40, 30), 40 + 10 * i).convert('RGB').save(tmp_path / f'pictures/{i}.png')
    return tmp_path / 'pictures'


@pytest.fixture
def damaged(tmp_path):
    "A folder of images to restore: masks of the size of the pictures, and two images that fit the model"
    folder = tmp_path / 'damaged'
    folder.mkdir()

    def mask(name, box, white=255):
        image = Image.new('L', (40, 30))
        image.paste(white, box)
        image.save(folder / f'{name}.png')

    mask('hole', (12, 8, 25, 20))
    mask('outside', (0, 0, 4, 30))
    mask('all', (0, 0, 40, 30))
    mask('none', (0, 0, 0, 0))
    mask('grey', (0, 0, 40, 30), 128)
    for name, size in dict(small=(8, 8), right=(16, 16)).items():
        Image.effect_noise(size, 60).convert('RGB').save(folder / f'{name}.png')
    return folder


@pytest.fixture
def filled(model_file, pictures, damaged):
    "Arguments with the paths of the model and of the pictures in them"
    places = {'{model}': model_file, '{pictures}': pictures, '{damaged}': damaged}

    def fill(args):
        return [re.sub(r'{\w+}', lambda found: str(places[found[0]]), a) for a in args]
    return fill


def said(done, code, words):
    return done.returncode == code and len(done.stderr.splitlines()) == 1 and words in done.stderr


MADE = [
    ['sample', '{model}', '0.7', '1', '--n', '3', '--seed', '5'],
    ['sample', '{model}', '0.9,0.5', '0', '--pixels', 'sample'],
    ['sample', '{model}', '--sweep', '0.5,1', '--n', '2'],
    ['explore', '{model}', '0.7', '1', '--n', '2', '--strength', '2'],
    ['explore', '{model}', '0.7', '0', '--difference', '--group', 'scale 0', '--cell', '1,2'],
    ['interpolate', '{model}', '{pictures}/1.png', '{pictures}/2.png', '3', '--space', 'noise', '--path', 'spherical',
     '--group', '0'],
    ['mix', '{model}', '{pictures}/1.png', '{pictures}/2.png'],
    ['restore', '{model}', '{pictures}/1.png', '--mask', '{damaged}/hole.png'],
    ['restore', '{model}', '{damaged}/small.png', '--enlarge', '2', '--answers', '3', '--seed', '4'],
    ['restore', '{model}', '{damaged}/right.png', '--noise', '0.1', '--answers', '2', '--temperature', '0.5,1'],
]


@pytest.mark.parametrize('args', MADE)
def test_a_picture_is_made_again_to_the_byte(nvae, filled, model_file, tmp_path, args):
    path = nvae(*filled(args)).stdout.strip()
    again = nvae('sample', '--like', path, '--out', 'again.png')
    assert again.stdout.strip() == 'again.png'
    assert (tmp_path / 'again.png').read_bytes() == (tmp_path / path).read_bytes()
    assert read_png_meta(path)['model'] == str(model_file)


@pytest.mark.parametrize('args', MADE[:7] + [['reconstruct', '{model}', '{pictures}/1.png']])
def test_every_picture_is_large_enough_to_see(nvae, filled, args):
    "One pixel of the model is a square; with the model's own size it is a pixel, and the gaps are of two pixels"
    large, own, between = (Image.open(nvae(*filled(args), *more).stdout.strip())
                           for more in ([], ['--tile-size', '16'], ['--tile-size', '17']))
    scales = [read_png_meta(image.filename)['grid']['scale'] for image in (large, own, between)]
    assert scales == [8, 1, 2]
    right, bottom = (large.width - 128, large.height - 128) # labels stand to the left
    last = np.asarray(large)[bottom:, right:]
    assert np.array_equal(last[::8, ::8].repeat(8, 0).repeat(8, 1), last)
    assert np.array_equal(last[::8, ::8], np.asarray(own)[-16:, -16:])


def test_a_picture_of_one_image_is_read_as_the_image_it_shows(nvae, model_file, damaged):
    "By every verb that reads images, and a mask that was painted on it fits it"
    for name, more in dict(large=[], own=['--tile-size', 16]).items():
        assert nvae('sample', model_file, 0.7, 0, '--n', 1, '--out', f'{name}.png', *more).returncode == 0
        Image.open(f'{name}.png').save(f'{name}-stranger.png')
    large, own = open_image('large.png'), open_image('own.png')
    assert large.size == own.size == (16, 16) and large.tobytes() == own.tobytes()
    assert open_image('large-stranger.png').size == (128, 128), 'it says nothing of itself any more'
    assert nvae('sample', model_file, 0.7, 0, '--n', 2, '--tile-size', 32, '--out', 'two.png').returncode == 0
    assert open_image('two.png').size != Image.open('two.png').size == (66, 32), 'nothing is lost where it is a grid'
    assert nvae('sample', model_file, 0.7, 0, '--n', 2, '--out', 'two.png').returncode == 0
    assert open_image('two.png').size == Image.open('two.png').size, 'the gap is no whole pixel'
    for name in ('reconstruct', 'mix'):
        made = [nvae(name, model_file, *[f'{which}.png'] * 2, '--out', f'{name}-{which}.png').stdout.strip()
                for which in ('large', 'own')]
        assert Image.open(made[0]).tobytes() == Image.open(made[1]).tobytes()
    mask = Image.new('L', (128, 128))
    mask.paste(255, (41, 8, 63, 64))
    mask.save('mask.png')
    done = nvae('restore', model_file, 'large.png', '--mask', 'mask.png', '--out', 'whole.png')
    whole = np.asarray(Image.open(done.stdout.strip()).convert('RGB'))
    changed = (whole != np.asarray(own.convert('RGB'))).any(2)
    assert whole.shape == (16, 16, 3) and changed.any()
    assert not changed[:1].any() and not changed[8:].any() and not changed[:, :5].any() and not changed[:, 8:].any()


def test_like_finds_a_model_that_moved_when_told(nvae, tmp_path):
    save_model(small(), tmp_path / 'old.model')
    assert nvae('sample', 'old.model', '0.7', '0', '--out', 'a.png').returncode == 0
    os.rename(tmp_path / 'old.model', tmp_path / 'new.model')
    assert nvae('sample', '--like', 'a.png', 'new.model').stdout.strip() == 'a-again.png'
    assert Image.open(tmp_path / 'a.png').tobytes() == Image.open(tmp_path / 'a-again.png').tobytes()


def test_a_picture_without_a_recipe_tells_the_command_that_made_it(nvae, model_file, pictures, tmp_path):
    options = ['--groups', 1, '--temperature', '0.5,0.7', '--sample', '--seed', 4]
    done = nvae('reconstruct', model_file, pictures / '1.png', pictures / '2.png', *options, '--out', 'a.png')
    line = read_png_meta(done.stdout.strip())['command']
    assert said(nvae('sample', '--like', 'a.png'), 2, line)
    assert nvae(*shlex.split(line)[1:], '--out', 'b.png').returncode == 0
    assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()


def cells(path, n_rows, n_cols, size=128, pad=2):
    "The images of a grid, row by row, from its lower right corner (labels stand to the left)"
    image = Image.open(path).convert('RGB')
    lefts = range(image.width - n_cols * (size + pad), image.width, size + pad)
    tops = range(image.height - n_rows * (size + pad), image.height, size + pad)
    def cut(left, top): return image.crop((left, top, left + size, top + size)).tobytes()

    return [[cut(left, top) for left in lefts] for top in tops]


def test_a_sweep_has_the_same_noise_in_every_row(nvae, model_file):
    def sweep(temperatures, *more):
        return nvae('sample', model_file, '--sweep', temperatures, '--n', 3, '--seed', 2, *more).stdout.strip()

    rows = cells(sweep('0.5,1,0'), 3, 3)
    (alone,) = cells(sweep('0.5', '--out', 'one.png'), 1, 3)
    assert rows[0] == alone != rows[1]
    assert len(set(alone)) == 3 and len(set(rows[2])) == 1


def test_mixing_begins_with_one_image_and_ends_with_the_other(nvae, model_file, pictures):
    a, b = pictures / '1.png', pictures / '2.png'
    (mixed,) = cells(nvae('mix', model_file, a, b).stdout.strip(), 1, 3)
    (other,) = cells(nvae('mix', model_file, b, a).stdout.strip(), 1, 3)
    assert mixed[0] == other[2] != mixed[2] == other[0]


def test_restoring_keeps_what_is_known_at_its_own_size(nvae, model_file, pictures, damaged):
    options = model_file, pictures / '1.png', '--mask', damaged / 'hole.png'
    done = nvae('restore', *options)
    assert (done.returncode, done.stdout.strip()) == (0, '1-restored.png'), done.stderr
    before, after, hole = (np.asarray(Image.open(path).convert('RGB')) for path in (
        pictures / '1.png', '1-restored.png', damaged / 'hole.png'))
    assert (after[hole == 0] == before[hole == 0]).all()
    assert (after[hole > 0] != before[hole > 0]).mean() > .5
    several = nvae('restore', *options, '--answers', 2, '--out', 'two.png').stdout.strip()
    first, second = (np.asarray(Image.open(several).convert('RGB').crop((x, 0, x + 40, 30))) for x in (0, 42))
    assert (first[hole == 0] == before[hole == 0]).all() and (first != second).any()


NOT_FINITE = [
    (['sample', '0.7', '0'], '9 of 9 images'),
    (['explore', '0.7', '0', '--n', '2', '--group', '0'], '2 of 2 images'),
    (['reconstruct', '{pictures}/1.png'], '1 of 1 images'),
    (['interpolate', '{pictures}/1.png', '{pictures}/2.png', '4'], '4 of 6 images'),
]


@pytest.mark.parametrize('args,words', NOT_FINITE)
def test_images_that_are_not_finite_are_counted_and_not_shown(nvae, filled, tmp_path, monkeypatch, args, words):
    model = small()
    with torch.no_grad():
        model.head[1].bias.fill_(float('nan'))
    monkeypatch.setattr(checkpoint, 'refuse_not_finite', lambda weights, path: None) # as written by others
    save_model(model, tmp_path / 'nan.model')
    done = nvae(args[0], 'nan.model', *filled(args[1:]), '--out', 'a.png')
    assert done.returncode == 0 and words in done.stderr
    grey = np.all(np.asarray(Image.open(tmp_path / 'a.png').convert('RGB')) == 128, axis=-1)
    assert grey.sum() >= int(words.split()[0]) * 16 * 16
    assert said(nvae('sample', 'nan.model', '0.7', '2'), 2, 'none of 2 passes')


def test_explore_has_a_row_per_group(nvae, model_file):
    def height(*groups):
        named = [word for group in groups for word in ('--group', group)]
        return Image.open(nvae('explore', model_file, '0.7', '0', '--n', '1', *named).stdout.strip()).height

    assert height() == height('scale 1', 'scale 0') == 2 * height('1') + 2


def test_evaluate_reports_a_figure_with_its_protocol(nvae, model_file, pictures):
    line = nvae('evaluate', model_file, '--data', pictures, '--importance-samples', 3, '--seed', 2, '--json').stdout
    result = json.loads(line)
    assert line.count('\n') == 1
    assert result['unit'] == 'bits/dim'
    assert result['nll'] <= result['nelbo'] + .01 # whose KL is exact where that of the weights is drawn
    protocol = result['protocol']
    assert protocol.items() >= dict(data='folder', images=1, importance_samples=3, seed=2, n_bits=8,
                                    batchnorm='stored statistics', dimensions=768).items()
    assert len(protocol['model_sha256']) == 64
    assert protocol['split'] and protocol['model_file'] == str(model_file)
    text = nvae('evaluate', model_file, '--data', pictures, '--importance-samples', 3, '--seed', 2).stdout
    assert f"{result['nll']:.4f}" in text and 'K = 3' in text


def test_evaluate_takes_so_many_images_so_many_at_a_time(nvae, model_file, pictures):
    args = ['evaluate', model_file, '--data', pictures, '--importance-samples', 4, '--json']
    few = json.loads(nvae(*args, '--limit', 1, '--batch-size', 2).stdout)
    all_at_once = json.loads(nvae(*args, '--batch-size', 64).stdout)
    assert (few['protocol']['batch_size'], few['protocol']['images'], few['nelbo_se']) == (2, 1, None)
    assert few['nelbo'] != all_at_once['nelbo'] == pytest.approx(few['nelbo'], rel=.05)


def test_evaluate_with_fid_at_the_temperature_asked_for(nvae, model_file, pictures, monkeypatch):
    from test_evaluate import Mean

    import nvae.evaluation.fid as measuring
    asked, metric = [], measuring.fid_metric

    def instead(feature, weights):
        asked.append((feature, weights))
        return metric(Mean())

    monkeypatch.setattr(measuring, 'fid_metric', instead)
    args = ['evaluate', model_file, '--data', pictures, '--fid', '--samples', 6, '--temperature', '0.5,0.9',
            '--iterations', 1, '--inception', pictures / '1.png']
    found = json.loads(nvae(*args, '--json').stdout)['fid']
    assert found['protocol'].items() >= dict(samples=6, images=9, temperature=[.5, .9], iterations=1).items()
    assert found['fid'] > 0
    assert asked == [(None, pictures / '1.png')]
    assert f"Fréchet distance  {found['fid']:.2f} by {found['protocol']['features']}" in nvae(*args).stdout


HAS_WEIGHTS = importlib.util.find_spec('torch_fidelity') is not None


@pytest.mark.skipif(HAS_WEIGHTS, reason='with torch-fidelity the weights can be fetched')
def test_fid_without_its_network_says_how_to_get_it(nvae, model_file, pictures):
    assert said(nvae('evaluate', model_file, '--data', pictures, '--fid'), 2, 'pip install torch-fidelity')


def test_evaluate_is_repeatable(nvae, model_file, pictures):
    def nelbo(seed):
        return json.loads(nvae('evaluate', model_file, '--data', pictures, '--seed', seed, '--json').stdout)['nelbo']

    assert nelbo(0) == nelbo(0) != nelbo(1)


def test_an_official_checkpoint_converts_evaluates_and_samples(nvae, pictures, tmp_path):
    original = small(image_size=32, n_groups=2, group_divisor=2, channels=16, n_flows=1, n_mix=3)
    weights, args = to_official(original)
    content = dict(epoch=3, state_dict=weights, optimizer=dict(state={}, param_groups=[]), global_step=99,
                   args=argparse.Namespace(**args), arch_instance='res_mbconv', scheduler={}, grad_scalar={})
    torch.save(content, tmp_path / 'checkpoint.pt')
    done = nvae('import', 'checkpoint.pt', 'new/ours.model')
    assert (done.returncode, done.stdout.strip()) == (0, 'new/ours.model'), done.stderr
    ours = load_model('new/ours.model', 'cpu').state_dict()
    assert all(v.equal(ours[k]) for k, v in original.state_dict().items())
    assert nvae('evaluate', 'new/ours.model', '--data', pictures, '--importance-samples', 2).returncode == 0
    assert nvae('sample', 'new/ours.model', '0.7', '1', '--n', '2').returncode == 0


BAD = {
    'no file': (['sample'], "Missing argument 'FILE'"),
    'no temperature': (['sample', '{model}'], "Missing argument 'TEMPERATURE'"),
    'like and a temperature': (
        ['sample', '--like', 'a.png', '{model}', '0.7'], 'leave TEMPERATURE, --sweep and --app out'),
    'like and an app': (['sample', '--like', 'a.png', '--app'], 'leave TEMPERATURE, --sweep and --app out'),
    'an app and a file': (['interpolate', '{model}', 'a.png', 'b.png', '--app', '--out', 'c.png'], 'leave --out out'),
    'like and a sweep': (['sample', '--like', 'a.png', '{model}', '--sweep', '0.5,1'], 'leave TEMPERATURE, --sweep'),
    'a sweep and a temperature': (['sample', '{model}', '0.7', '--sweep', '0.5,1'], '--sweep gives the temperatures'),
    'a sweep that goes too far': (['sample', '{model}', '--sweep', '0.5,3'], "'--sweep'"),
    'nothing to mix with': (['mix', '{model}', '{pictures}/1.png', 'nowhere.png'], 'nowhere.png'),
    'nothing to restore': (['restore', '{model}', 'nowhere.png', '--noise', '0.1'], 'there is no image nowhere.png'),
    'nothing wrong with it': (['restore', '{model}', '{pictures}/1.png'], 'Say one of --mask, --enlarge and --noise'),
    'two things wrong with it': (
        ['restore', '{model}', '{damaged}/small.png', '--enlarge', '2', '--noise', '0.1'], 'Say one of --mask'),
    'noise on another scale': (
        ['restore', '{model}', '{damaged}/right.png', '--noise', '25'], '25 is not in the range'),
    'three times larger': (['restore', '{model}', '{damaged}/small.png', '--enlarge', '3'], "'--enlarge'"),
    'enlarging a large one': (['restore', '{model}', '{pictures}/1.png', '--enlarge', '4'], 'it must be of 4×4'),
    'noise on a large one': (['restore', '{model}', '{pictures}/1.png', '--noise', '0.1'], 'it must be of 16×16'),
    'a photograph as a mask': (
        ['restore', '{model}', '{pictures}/1.png', '--mask', '{damaged}/grey.png'], 'neither black nor white'),
    'a mask that is no image': (['restore', '{model}', '{pictures}/1.png', '--mask', '{model}'], "can't be read"),
    'a mask of another size': (
        ['restore', '{model}', '{pictures}/1.png', '--mask', '{damaged}/right.png'], 'must be of one size'),
    'a black mask': (
        ['restore', '{model}', '{pictures}/1.png', '--mask', '{damaged}/none.png'], 'nothing in the mask is white'),
    'a white mask': (
        ['restore', '{model}', '{pictures}/1.png', '--mask', '{damaged}/all.png'], "where the model doesn't look"),
    'a mask beyond the window': (
        ['restore', '{model}', '{pictures}/1.png', '--mask', '{damaged}/outside.png'], "where the model doesn't look"),
    'too hot an answer': (
        ['restore', '{model}', '{damaged}/small.png', '--enlarge', '2', '--temperature', '3'], "'--temperature'"),
    'like nothing': (['sample', '--like', 'nowhere.png'], 'there is no file nowhere.png'),
    'like a stranger': (['sample', '--like', '{pictures}/1.png'], "doesn't say how it was made"),
    'like something else': (['sample', '--like', '{model}'], 'not an image'),
    'too many temperatures': (['sample', '{model}', '0.7,0.8,0.9'], 'the model has 2 scales'),
    'one of them too high': (['sample', '{model}', '0.7,2.1'], 'TEMPERATURE'),
    'a temperature that is missing': (['explore', '{model}', '0.7,'], 'TEMPERATURE'),
    'a cell that is not there': (['explore', '{model}', '0.7', '0', '--cell', '99,0'], 'outside group'),
    'half a cell': (['explore', '{model}', '0.7', '0', '--cell', '1'], 'ROW,COLUMN'),
    'a scale that is not there': (['explore', '{model}', '0.7', '0', '--group', 'scale 5'], 'scale 0 to scale 1'),
    'an image that is not there': (['interpolate', '{model}', '{pictures}/1.png', 'nowhere.png'], 'nowhere.png'),
    'an image that is none': (['reconstruct', '{model}', '{model}'], "can't be read as an image"),
    'one step': (['interpolate', '{model}', '{pictures}/1.png', '{pictures}/2.png', '1'], "'N'"),
    'more groups than there are': (['reconstruct', '{model}', '{pictures}/1.png', '--groups', '9'], 'this model has 2'),
    'no draws': (['evaluate', '{model}', '--data', '{pictures}', '--importance-samples', '0'], '--importance-samples'),
    'no images': (['evaluate', '{model}', '--data', '{pictures}', '--limit', '0'], '--limit'),
    'more images than there are': (['evaluate', '{model}', '--data', '{pictures}', '--limit', '11'], 'there are 1'),
    'no such data': (['evaluate', '{model}', '--data', 'nowhere'], 'neither a folder nor a data set'),
    'grey data for a colour model': (['evaluate', '{model}', '--data', 'mnist'], '1 channel'),
    'data of another size': (['evaluate', '{model}', '--data', 'cifar10'], '32×32'),
    'weights that are not there': (
        ['evaluate', '{model}', '--data', '{pictures}', '--fid', '--inception', 'nowhere.pth'], 'nowhere.pth'),
    'import of nothing': (['import', 'nowhere.pt', 'a.model'], 'nowhere.pt'),
    'import of something else': (['import', '{pictures}/1.png', 'a.model'], "can't be read as an official checkpoint"),
}


@pytest.mark.parametrize('args,words', BAD.values(), ids=BAD)
def test_bad_input_costs_one_line(nvae, filled, tmp_path, args, words):
    done = nvae(*filled(args))
    assert said(done, 2, words), (done.returncode, done.stderr)
    assert not list(tmp_path.glob('*.png')) and not list(tmp_path.glob('*.model'))


CAN_NOT_RESTORE = [
    (dict(n_flows=1), ['{pictures}/1.png', '--mask', '{damaged}/hole.png'], 'flows in its posterior only'),
    (dict(likelihood='bernoulli'), ['{damaged}/right.png', '--noise', '0.1'], 'black or white'),
    (dict(likelihood='bernoulli'), ['{damaged}/small.png', '--enlarge', '2'], 'black or white'),
]


@pytest.mark.parametrize('settings,args,words', CAN_NOT_RESTORE)
def test_a_model_that_can_not_restore_says_why(nvae, filled, tmp_path, settings, args, words):
    save_model(small(**settings), tmp_path / 'other.model')
    assert said(nvae('restore', 'other.model', *filled(args)), 2, words)


@pytest.mark.parametrize('settings', [dict(n_flows=1, flows_in_prior=True), dict(likelihood='bernoulli'),
                                      dict(image_channels=1), dict(image_size=[16, 32])])
def test_other_models_fill_a_hole(nvae, pictures, damaged, tmp_path, settings):
    save_model(small(**settings), tmp_path / 'other.model')
    done = nvae('restore', 'other.model', pictures / '1.png', '--mask', damaged / 'hole.png')
    assert (done.returncode, done.stdout.strip()) == (0, '1-restored.png'), done.stderr


def test_a_model_that_changed_is_refused(nvae, tmp_path):
    model = small()
    save_model(model, tmp_path / 'a.model')
    nvae('sample', 'a.model', '0.7', '0', '--out', 'a.png')
    with torch.no_grad():
        model.head[1].bias += .1
    save_model(model, tmp_path / 'a.model')
    assert said(nvae('sample', '--like', 'a.png'), 2, 'weights differ')


def test_a_malicious_checkpoint_is_refused_and_not_run(nvae, tmp_path):
    class Attack:
        def __reduce__(self): return os.system, (f'touch {tmp_path}/was_run',)

    torch.save(dict(state_dict={}, args=Attack()), tmp_path / 'checkpoint.pt')
    assert said(nvae('import', 'checkpoint.pt', 'a.model'), 2, 'without running code from it')
    assert not (tmp_path / 'was_run').exists() and not (tmp_path / 'a.model').exists()


SPOILED = [
    (lambda weights: weights.pop('stem.bias'), "'stem.bias' of shape (16,)"),
    (lambda weights: weights.update(extra=torch.zeros(1)), "'extra'"),
    (lambda weights: weights.update({'stem.bias': torch.zeros(3)}), 'expected (16,)'),
]


@pytest.mark.parametrize('spoil,words', SPOILED)
def test_state_dicts_that_do_not_fit(nvae, tmp_path, spoil, words):
    weights, args = to_official(small(image_size=32, channels=16, group_divisor=2))
    spoil(weights)
    torch.save(dict(state_dict=weights, args=argparse.Namespace(**args)), tmp_path / 'checkpoint.pt')
    assert said(nvae('import', 'checkpoint.pt', 'a.model'), 2, words)
