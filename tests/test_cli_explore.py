"`nvae sample --like`, explore, interpolate, reconstruct, evaluate and import: what they leave behind, and bad input"
import argparse
import json
import os
import shlex
import subprocess

import pytest
import torch
from PIL import Image

from nvae import cli
from nvae.checkpoint import load_model, save_model
from nvae.config import Config, ModelConfig
from nvae.interop import to_official
from nvae.model import NVAE
from nvae.viz import read_png_meta


def small(**kw):
    torch.manual_seed(0)
    return NVAE(Config(name='small', model=ModelConfig(**{**dict(image_size=16, channels=8, n_groups=1, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2), **kw}))).eval()


@pytest.fixture(scope='session')
def model_file(tmp_path_factory): return save_model(small(), tmp_path_factory.mktemp('models') / 'small.model')


@pytest.fixture
def nvae(tmp_path, monkeypatch, capfd):
    "nvae('sample', ...) in an empty folder"
    monkeypatch.chdir(tmp_path)
    def run(*args):
        code = cli.main(list(map(str, args)))
        return subprocess.CompletedProcess(args, code, *capfd.readouterr())
    return run


@pytest.fixture
def pictures(tmp_path):
    "A folder of ten images that are not of the model's size"
    (tmp_path / 'pictures').mkdir()
    for i in range(10): Image.effect_noise((40, 30), 40 + 10 * i).convert('RGB').save(tmp_path / f'pictures/{i}.png')
    return tmp_path / 'pictures'


def said(done, code, words): return done.returncode == code and len(done.stderr.splitlines()) == 1 and words in done.stderr


@pytest.mark.parametrize('args', [['sample', '{model}', '0.7', '1', '--n', '3', '--seed', '5'], ['sample', '{model}', '0.9,0.5', '0', '--pixels', 'sample'],
                                  ['explore', '{model}', '0.7', '1', '--n', '2', '--strength', '2'], ['explore', '{model}', '0.7', '0', '--difference', '--group', 'scale 0', '--cell', '1,2']])
def test_a_picture_is_made_again_to_the_byte(nvae, model_file, tmp_path, args):
    path = nvae(*(a.replace('{model}', str(model_file)) for a in args)).stdout.strip()
    again = nvae('sample', '--like', path, '--out', 'again.png')
    assert again.stdout.strip() == 'again.png' and (tmp_path / 'again.png').read_bytes() == (tmp_path / path).read_bytes()
    assert read_png_meta(path)['model'] == str(model_file)


def test_like_finds_a_model_that_moved_when_told(nvae, tmp_path):
    save_model(small(), tmp_path / 'old.model')
    assert nvae('sample', 'old.model', '0.7', '0', '--out', 'a.png').returncode == 0
    os.rename(tmp_path / 'old.model', tmp_path / 'new.model')
    assert nvae('sample', '--like', 'a.png', 'new.model').stdout.strip() == 'a-again.png'
    assert Image.open(tmp_path / 'a.png').tobytes() == Image.open(tmp_path / 'a-again.png').tobytes()


def test_pictures_from_images_tell_the_command_that_made_them(nvae, model_file, pictures, tmp_path):
    for args in (['interpolate', model_file, pictures / '1.png', pictures / '2.png', 3, '--space', 'noise', '--path', 'spherical', '--group', '0'],
                 ['reconstruct', model_file, pictures / '1.png', pictures / '2.png', '--groups', 1, '--temperature', '0.5,0.7', '--sample', '--seed', 4]):
        path = nvae(*args, '--out', 'a.png').stdout.strip()
        line = read_png_meta(path)['command']
        assert said(nvae('sample', '--like', path), 2, line)
        assert nvae(*shlex.split(line)[1:], '--out', 'b.png').returncode == 0
        assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()


def test_explore_has_a_row_per_group(nvae, model_file):
    heights = {name: Image.open(nvae('explore', model_file, '0.7', '0', '--n', '1', *more, '--out', f'{name}.png').stdout.strip()).height
               for name, more in dict(all=[], one=['--group', '1'], scales=['--group', 'scale 1', '--group', 'scale 0']).items()}
    assert heights['all'] == heights['scales'] == 2 * heights['one'] + 2


def test_evaluate_reports_a_figure_with_its_protocol(nvae, model_file, pictures):
    line = nvae('evaluate', model_file, '--data', pictures, '--importance-samples', 3, '--seed', 2, '--json').stdout
    result = json.loads(line)
    assert line.count('\n') == 1 and result['unit'] == 'bits/dim' and result['nll'] <= result['nelbo']
    p = result['protocol']
    assert {k: p[k] for k in ('data', 'images', 'importance_samples', 'seed', 'n_bits', 'batchnorm', 'dimensions')} == dict(
        data='folder', images=1, importance_samples=3, seed=2, n_bits=8, batchnorm='stored statistics', dimensions=768)
    assert len(p['model_sha256']) == 64 and p['split'] and p['model_file'] == str(model_file)
    text = nvae('evaluate', model_file, '--data', pictures, '--importance-samples', 3, '--seed', 2).stdout
    assert f"{result['nll']:.4f}" in text and 'K = 3' in text


def test_evaluate_is_repeatable(nvae, model_file, pictures):
    a, b, c = (json.loads(nvae('evaluate', model_file, '--data', pictures, '--seed', s, '--json').stdout)['nelbo'] for s in (0, 0, 1))
    assert a == b != c


def test_an_official_checkpoint_converts_evaluates_and_samples(nvae, pictures, tmp_path):
    original = small(image_size=32, n_groups=2, group_divisor=2, channels=16, n_flows=1, n_mix=3)
    weights, args = to_official(original)
    content = dict(epoch=3, state_dict=weights, optimizer=dict(state={}, param_groups=[]), global_step=99, args=argparse.Namespace(**args), arch_instance='res_mbconv', scheduler={}, grad_scalar={})
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
    'like and a temperature': (['sample', '--like', 'a.png', '{model}', '0.7'], 'leave TEMPERATURE and --app out'),
    'like and an app': (['sample', '--like', 'a.png', '--app'], 'leave TEMPERATURE and --app out'),
    'an app and a file': (['interpolate', '{model}', 'a.png', 'b.png', '--app', '--out', 'c.png'], 'leave --out out'),
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
    'no draws': (['evaluate', '{model}', '--data', '{pictures}', '--importance-samples', '0'], 'at least 1'),
    'more images than there are': (['evaluate', '{model}', '--data', '{pictures}', '--limit', '11'], 'there are 1'),
    'no such data': (['evaluate', '{model}', '--data', 'nowhere'], 'no such folder'),
    'grey data for a colour model': (['evaluate', '{model}', '--data', 'mnist'], '1 channel'),
    'data of another size': (['evaluate', '{model}', '--data', 'cifar10'], '32×32'),
    'weights that are not there': (['evaluate', '{model}', '--data', '{pictures}', '--fid', '--inception', 'nowhere.pth'], 'nowhere.pth'),
    'import of nothing': (['import', 'nowhere.pt', 'a.model'], 'nowhere.pt'),
    'import of something else': (['import', '{pictures}/1.png', 'a.model'], "can't be read as an official checkpoint"),
}


@pytest.mark.parametrize('args,words', BAD.values(), ids=BAD)
def test_bad_input_costs_one_line(nvae, model_file, pictures, tmp_path, args, words):
    done = nvae(*(a.replace('{model}', str(model_file)).replace('{pictures}', str(pictures)) for a in args))
    assert said(done, 2, words), (done.returncode, done.stderr)
    assert not list(tmp_path.glob('*.png')) and not list(tmp_path.glob('*.model'))


def test_a_model_that_changed_is_refused(nvae, tmp_path):
    model = small()
    save_model(model, tmp_path / 'a.model')
    nvae('sample', 'a.model', '0.7', '0', '--out', 'a.png')
    with torch.no_grad(): model.head[1].bias += .1
    save_model(model, tmp_path / 'a.model')
    assert said(nvae('sample', '--like', 'a.png'), 2, 'weights differ')


def test_a_malicious_checkpoint_is_refused_and_not_run(nvae, tmp_path):
    class Attack:
        def __reduce__(self): return os.system, (f'touch {tmp_path}/was_run',)
    torch.save(dict(state_dict={}, args=Attack()), tmp_path / 'checkpoint.pt')
    assert said(nvae('import', 'checkpoint.pt', 'a.model'), 2, 'without running code from it')
    assert not (tmp_path / 'was_run').exists() and not (tmp_path / 'a.model').exists()


@pytest.mark.parametrize('spoil,words', [(lambda w: w.pop('stem.bias'), "'stem.bias' of shape (16,)"), (lambda w: w.update(extra=torch.zeros(1)), "'extra'"),
                                         (lambda w: w.update({'stem.bias': torch.zeros(3)}), 'expected (16,)')])
def test_state_dicts_that_do_not_fit(nvae, tmp_path, spoil, words):
    weights, args = to_official(small(image_size=32, channels=16, group_divisor=2))
    spoil(weights)
    torch.save(dict(state_dict=weights, args=argparse.Namespace(**args)), tmp_path / 'checkpoint.pt')
    assert said(nvae('import', 'checkpoint.pt', 'a.model'), 2, words)
