"Directions from examples, and images that slide along them, as typed in a terminal"
import base64
import json

import pytest
import torch
from PIL import Image
from small_models import small_network, small_run

from nvae.plots.pictures import read_png_meta, to_pil
from nvae.runs.checkpoint import load_model, model_hash
from nvae.sampling.directions import (
    Direction,
    difference_of_means,
    encoded,
    load_direction,
    mean_noise,
    save_direction,
)


@pytest.fixture
def folder(tmp_path):
    "Two folders of images, and an empty one"
    generator = torch.Generator().manual_seed(0)
    for name, level in dict(dark=0, light=.4, empty=None).items():
        (tmp_path / name).mkdir()
        if level is None: continue
        for i in range(5):
            image = level + .6 * torch.rand(3, 16, 16, generator=generator)
            to_pil(image).save(tmp_path / name / f'{i}.png')
    return tmp_path


def images_of(folder):
    "Its images, (5, 3, 16, 16) in [0, 1]"
    pictures = [Image.open(path) for path in sorted(folder.glob('*.png'))]
    pixels = [torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8) for picture in pictures]
    return torch.stack(pixels).view(-1, 16, 16, 3).permute(0, 3, 1, 2) / 255


SETTINGS = dict(
    plain={}, binary=dict(likelihood='bernoulli', image_channels=1), grey=dict(image_channels=1), flows=dict(n_flows=1),
    posterior_flows=dict(n_flows=1, flows_in_prior=False), rectangular=dict(image_size=[16, 24]))


@pytest.mark.parametrize('kind', SETTINGS)
def test_every_kind_of_model_slides(nvae, folder, kind):
    file = small_run(folder / 'runs', **SETTINGS[kind])
    made = nvae('direction', file, 'light', '--from', 'dark', '--to', 'light')
    assert made.returncode == 0 and 'of 5 and 5 images' in made.stdout, made.stderr
    slid = nvae('slide', file, 'dark/0.png', '--direction', 'light', '--amount', '-1..2', '--n', '4', '--out', 'x.png')
    assert slid.returncode == 0, slid.stderr
    assert read_png_meta('x.png')['command'].startswith(f'nvae slide {file} dark/0.png --direction=light')


def test_amount_one_leads_from_mean_to_mean(nvae, folder):
    file = small_run(folder / 'runs')
    assert nvae('direction', file, 'light', '--from', 'dark', '--to', 'light').returncode == 0
    model = load_model(file, 'cpu')
    means = []
    for part in 'dark', 'light': means.append(mean_noise(encoded(model, [images_of(folder / part)])).vectors)
    for v, a, b in zip(load_direction('light', model).vectors, *means): assert torch.allclose(a + v, b, atol=1e-4)


def test_the_same_seed_gives_the_same_sample(nvae, folder):
    file = small_run(folder / 'runs')
    made = nvae('direction', file, '--pca', '2', '--data', 'light')
    assert made.returncode == 0, made.stderr
    assert sorted(path.name for path in folder.glob('*.direction')) == ['pca-1.direction', 'pca-2.direction']
    sliding = 'slide', file, '--direction', 'pca-1', '--direction', 'pca-2', '--n', '3', '--iterations', '2'
    pictures = []
    for seed, out in ('3', 'a.png'), ('3', 'b.png'), ('4', 'c.png'):
        assert nvae(*sliding, '--seed', seed, '--out', out).returncode == 0
        pictures.append(Image.open(out).tobytes())
    assert pictures[0] == pictures[1] != pictures[2]
    again = nvae('direction', file, 'other', '--from', 'dark', '--to', 'light', '--without', 'pca-1', '--group', '0')
    model = load_model(file, 'cpu')
    first, other = (load_direction(name, model).vectors for name in ('pca-1', 'other'))
    assert again.returncode == 0 and abs(sum((u * v).sum() for u, v in zip(first, other))) < 1e-3


def test_picks_are_examples(nvae, folder):
    file = small_run(folder / 'runs')
    for part in 'dark', 'light':
        pngs = [base64.b64encode(path.read_bytes()).decode() for path in (folder / part).glob('*.png')]
        picks = [dict(recipe={}, pixels_sha256='', when='', png=png) for png in pngs]
        (folder / f'{part}.json').write_text(json.dumps(dict(format='nvae.picks', made={}, seed=0, picks=picks)))
    nvae('direction', file, 'a', '--from', 'dark', '--to', 'light')
    assert nvae('direction', file, 'b', '--from', 'dark.json', '--to', 'light.json').returncode == 0
    model = load_model(file, 'cpu')
    a, b = (load_direction(name, model).vectors for name in 'ab')
    assert all(torch.allclose(u, v, atol=1e-5) for u, v in zip(a, b))


@pytest.mark.parametrize('space', ['z', 'noise'])
def test_latents_of_a_label_are_examples(nvae, folder, space):
    file = small_run(folder / 'runs')
    (folder / 'both').mkdir()
    for part in 'dark', 'light': (folder / part).rename(folder / f'both/{part}')
    assert nvae('encode', file, 'both', 'both.safetensors', '--space', space).returncode == 0
    nvae('direction', file, 'a', '--from', 'both/dark', '--to', 'both/light')
    done = nvae('direction', file, 'b', '--from', 'both.safetensors:dark', '--to', 'both.safetensors:light')
    assert done.returncode == 0, done.stderr
    model = load_model(file, 'cpu')
    a, b = (load_direction(name, model).vectors for name in 'ab')
    assert all(torch.allclose(u, v, atol=1e-3) for u, v in zip(a, b))
    for label, says in ('hats', "has no label 'hats' (it has dark, light)"), ('', "has no label ''"):
        wrong = nvae('direction', file, 'c', '--from', f'both.safetensors:{label}', '--to', 'both/light')
        assert wrong.returncode == 2 and says in wrong.stderr
    other = small_run(folder / 'runs', 'other', n_mix=3)
    wrong = nvae('direction', other, 'c', '--from', 'both.safetensors:dark', '--to', 'both/light')
    assert wrong.returncode == 2 and 'latents of another model' in wrong.stderr
    nvae('encode', file, 'both', 'coarse.safetensors', '--groups', '1')
    wrong = nvae('direction', file, 'c', '--from', 'coarse.safetensors:dark', '--to', 'both/light')
    assert wrong.returncode == 2 and 'holds 1 of the' in wrong.stderr


@pytest.mark.parametrize('command, says', [
    ('direction FILE x --from empty --to light', 'there is no file in the folder empty'),
    ('direction FILE x --from dark --to dark', 'same mean'),
    ('direction FILE x --from dark', '--from WHERE and --to WHERE'),
    ('direction FILE x --from dark --to light --pca 2', '--pca N alone'),
    ('direction FILE --from dark --to light', "Missing argument 'NAME'"),
    ('direction FILE x --from dark --to hats', 'hats is neither a folder'),
    ('direction FILE x --from dark --to light --group 9', 'there is no group'),
    ('direction FILE x --from dark --to light --without light', 'nothing is left'),
    ('direction FILE x --from dark --to light --without foreign', 'another model'),
    ('direction FILE small --from dark --to light', 'no direction that nvae wrote'),
    ('direction FILE --pca 9 --data light', 'ask for 1 to'),
    ('slide FILE dark/0.png --direction foreign', 'foreign.direction is a direction of another model'),
    ('slide FILE dark/0.png --direction none', 'there is no file none.direction'),
    ('slide FILE dark/0.png --direction small', 'no direction that nvae wrote'),
    ('slide FILE dark/0.png', "Missing option '--direction'"),
    ('slide FILE dark/0.png --direction light --seed 1', 'one of the two'),
    ('slide FILE none.png --direction light', 'there is no image none.png'),
    ('slide FILE dark/0.png --direction light --amount wide', 'is not two numbers'),
    ('slide FILE dark/0.png --direction light --amount -1e9..1', 'not in the range'),
    ('slide FILE dark/0.png --direction light --group 9', 'there is no group'),
    ('slide FILE dark/0.png --direction light --out dark/0.png', 'is read, so it')])
def test_wrong_input_is_one_line(nvae, folder, command, says):
    file = small_run(folder / 'runs')
    model = load_model(file, 'cpu')
    start, end = (mean_noise(encoded(model, [images_of(folder / part)])) for part in ('dark', 'light'))
    vectors = difference_of_means(start, end)
    save_direction(Direction('light', vectors, model_hash(model)), folder / 'light')
    save_direction(Direction('foreign', vectors, model_hash(small_network(n_mix=3))), folder / 'foreign')
    (folder / 'small.direction').write_bytes(file.read_bytes())
    done = nvae(*(str(file) if word == 'FILE' else word for word in command.split()))
    assert done.returncode == 2 and says in done.stderr, done.stderr
    beside_bars = [line for line in done.stderr.splitlines() if line.startswith('nvae: ')]
    assert len(beside_bars) == 1 and 'Traceback' not in done.stderr and not list(folder.glob('x*.direction'))


@pytest.mark.parametrize('command, says', [
    ('direction FILE x --from dark --to empty', 'there is no file in the folder empty'),
    ('direction FILE x --from dark --to hats', 'hats is neither a folder'),
    ('direction FILE x --from dark --to light --group 9', 'there is no group'),
    ('direction FILE x --from dark --to light --without hats', 'there is no file hats.direction'),
    ('direction FILE text --from dark --to light', 'no direction that nvae wrote'),
    ('direction FILE --pca 1 --data dark --group 9', 'there is no group'),
    ('direction FILE other --pca 2 --data dark', 'other-2.direction is no direction that nvae wrote')])
def test_wrong_input_is_found_before_anything_is_encoded(nvae, folder, monkeypatch, command, says):
    def encode(*_): raise AssertionError('images are encoded')

    monkeypatch.setattr('nvae.sampling.directions.encode_images', encode)
    file = small_run(folder / 'runs')
    for name in 'text', 'other-2':
        (folder / f'{name}.direction').write_text('none')
    done = nvae(*(str(file) if word == 'FILE' else word for word in command.split()))
    assert done.returncode == 2 and says in done.stderr, done.stderr


def test_labels_of_a_slide_are_short(nvae, folder):
    file = small_run(folder / 'runs')
    assert nvae('direction', file, 'light', '--from', 'dark', '--to', 'light').returncode == 0
    assert nvae('slide', file, 'dark/0.png', '--direction', 'light', '--n', '4', '--out', 'x.png').returncode == 0
    assert read_png_meta('x.png')['grid']['labels'] == ['', '-2', '-0.67', '0.67', '2']
