"Images to arrays and back: every kind of network, the command, interruptions, what is refused; scikit-learn's checks"
import json
import math
import re
import subprocess
import sys

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from small_models import small_network

import nvae as kit
from nvae.errors import BadInput
from nvae.runs.checkpoint import load_model, model_hash, save_model
from nvae.sampling import latents
from nvae.sampling.encode import (
    ImagePart,
    ImageParts,
    Latents,
    decode_images,
    encode_images,
    infer_latents,
    variable_places,
)
from nvae.sampling.explore import reconstruct
from nvae.sampling.latents import encode_to_file, load_latents, open_latents

KINDS = {
    'plain': {}, 'rectangular': dict(image_size=[16, 24]), 'two scales': dict(n_scales=2, n_groups=2),
    'grey': dict(image_channels=1), 'binary': dict(image_channels=1, likelihood='bernoulli', n_bits=1),
    'flows': dict(n_flows=2), 'flows in the posterior': dict(n_flows=2, flows_in_prior=False)}


def images_of(model, n=3):
    "Images on the model's levels"
    m = model.cfg
    levels = 2 if m.is_binary else 2**m.n_bits
    whole = torch.randint(levels, (n, m.image_channels, *m.size), generator=torch.Generator().manual_seed(1))
    return whole / (levels - 1)


def photos_in(folder, n=4, size=(40, 30)):
    "Pictures in two sub-folders, of a size that is no model's, and a file that is none"
    rng = np.random.default_rng(0)
    for i in range(n):
        place = folder / ('cats', 'dogs')[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(place / f'{i:03d}.png')
    (folder / 'cats/notes.txt').write_text('none')
    return folder


@pytest.fixture
def model_file(tmp_path):
    return save_model(small_network(n_groups=2, n_scales=2).eval(), tmp_path / 'small.model')


@pytest.mark.parametrize('settings', KINDS.values(), ids=KINDS)
def test_there_and_back_for_every_kind_of_network(settings):
    model = small_network(**settings).eval()
    x, G = images_of(model), model.cfg.total_groups
    for space in 'z', 'noise':
        for K in range(1, G + 1):
            latents = encode_images(model, x, space, n_groups=K)
            assert [tuple(z.shape[1:]) for z in latents] == model.cfg.latent_shapes[:K]
            assert (decode_images(model, latents) - reconstruct(model, x, K)).abs().max() < 1e-3
            again = Latents.from_flat(latents.flat(), model.cfg, space=space)
            assert all(z.equal(mine) for z, mine in zip(latents, again))


@pytest.mark.parametrize('seed', [None, 3])
def test_batches_do_not_change_what_comes_out(seed):
    model = small_network(n_groups=2).eval()
    x = images_of(model, 7)
    whole, in_parts = (encode_images(model, x, 'noise', seed, batch_size=size).flat() for size in (7, 2))
    assert (whole - in_parts).abs().max() < 1e-4
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, torch.zeros(7)), batch_size=3)
    assert (encode_images(model, loader, 'noise', seed).flat() - whole).abs().max() < 1e-4
    assert (encode_images(model, x, 'noise', 4).flat() - whole).abs().max() > .1


def test_old_names_are_the_new_functions():
    assert (kit.embed, kit.unembed) == (kit.encode_images, kit.decode_images)


def test_a_folder_comes_back_by_the_command(nvae, model_file, tmp_path):
    photos_in(tmp_path / 'photos')
    done = nvae('encode', model_file, 'photos', 'a.safetensors', '--flat')
    assert done.returncode == 0 and 'skipped 1 of 5' in done.stderr and 'cats/notes.txt' in done.stderr
    model, arrays = load_model(model_file), load_file(tmp_path / 'a.safetensors')
    latents = load_latents('a.safetensors')
    assert latents.names == ['cats/000.png', 'cats/002.png', 'dogs/001.png', 'dogs/003.png']
    assert (latents.labels, latents.skipped) == (['cats', 'cats', 'dogs', 'dogs'], ['cats/notes.txt'])
    with safe_open(tmp_path / 'a.safetensors', 'pt') as file: header = file.metadata()
    assert json.loads(header['sha256']) == model_hash(model)
    assert json.loads(header['config']) == model.config.to_dict()
    for column in 0, 57, -1:
        g, *place = arrays['columns'][column]
        assert np.array_equal(arrays['flat'][:, column], arrays[f'group{g}'][:, *place])
    assert np.array_equal(arrays['columns'], variable_places(model.cfg))
    assert nvae('decode', model_file, 'a.safetensors', 'again').returncode == 0
    pictures = sorted(path.relative_to(tmp_path / 'again').as_posix() for path in (tmp_path / 'again').rglob('*.png'))
    assert pictures == latents.names
    expected = decode_images(model, encode_images(model, tmp_path / 'photos/cats/000.png'))[0].permute(1, 2, 0).cpu()
    found = np.asarray(Image.open(tmp_path / 'again/cats/000.png')) / 255
    assert np.abs(found - expected.numpy()).max() < 1 / 255
    assert not (tmp_path / 'a.parts').exists()


def test_files_and_a_data_set_by_name(nvae, model_file, tmp_path):
    photos_in(tmp_path / 'photos')
    files = sorted(tmp_path.glob('photos/*/*.png'))
    assert nvae('encode', model_file, *files, 'b.safetensors', '--groups', 1, '--sample', '--seed', 3).returncode == 0
    found = load_latents(tmp_path / 'b.safetensors')
    assert (len(found), found.n_images, found.labels[0]) == (1, 4, 'cats')
    assert (found[0] - encode_images(load_model(model_file), files, 'z', 3, 1)[0].cpu()).abs().max() < 1e-5
    nvae('encode', model_file, *files, 'c.safetensors', '--groups', 1, '--sample', '--seed', 4)
    assert not load_latents(tmp_path / 'c.safetensors')[0].equal(found[0])


def killed_and_begun_again(model_file, tmp_path):
    "The command as a process of its own, killed after its first part; the folder of parts that it leaves"
    code = ("import os, sys\nimport nvae.sampling.encode\nimport nvae.sampling.latents as l\n"
            "nvae.sampling.encode.AT_ONCE = 8\nfrom nvae.cli.main import main\nput = l.put_file\n"
            "def once(path, *a, **kw):\n    put(path, *a, **kw)\n"
            "    if path.name == '000000.safetensors': os.kill(os.getpid(), 9)\nl.put_file = once\nmain(sys.argv[1:])")
    line = [sys.executable, '-c', code, 'encode', model_file, 'photos', 'a.safetensors', '--sample']
    assert subprocess.run(line, cwd=tmp_path, capture_output=True).returncode == -9
    return tmp_path / 'a.parts'


def test_a_killed_encoding_goes_on_and_gives_the_same_bytes(nvae, model_file, tmp_path, monkeypatch):
    photos_in(tmp_path / 'photos', 17, (16, 16))
    monkeypatch.setattr('nvae.sampling.encode.AT_ONCE', 8)
    parts = killed_and_begun_again(model_file, tmp_path)
    assert sorted(path.name for path in parts.iterdir()) == ['000000.safetensors', 'about.json']
    other = nvae('encode', model_file, 'photos', 'a.safetensors', '--space', 'noise')
    assert other.returncode == 2 and 'other images or options' in other.stderr
    seen = []
    monkeypatch.setattr('nvae.sampling.latents.infer_latents', counting(seen))
    assert nvae('encode', model_file, 'photos', 'a.safetensors', '--sample').returncode == 0
    assert sum(seen) == 17 - 8
    assert nvae('encode', model_file, 'photos', 'b.safetensors', '--sample').returncode == 0
    assert (tmp_path / 'a.safetensors').read_bytes() == (tmp_path / 'b.safetensors').read_bytes()


def counting(seen):
    "`infer_latents` that notes how many images it was given"
    def counted(model, x, *more):
        seen.append(len(x))
        return infer_latents(model, x, *more)
    return counted


def test_memory_does_not_grow_with_the_images(tmp_path, monkeypatch):
    model, n, held = small_network(z_channels=64).eval(), 40, []
    zeros = ImagePart(torch.zeros(64, 3, 16, 16), list(map(str, range(64))))
    size = 4 * 64 * sum(math.prod(shape) for shape in model.cfg.latent_shapes)  # bytes of the latents of one part

    def noted(f):
        def call(*args, **more):
            held.append(psutil.Process().memory_info().rss)
            return f(*args, **more)
        return call
    ones = lambda model, x, *_: [torch.ones(len(x), *shape) for shape in model.cfg.latent_shapes]
    monkeypatch.setattr(latents, 'infer_latents', ones)
    for name in 'put_file', '_read_group': monkeypatch.setattr(latents, name, noted(getattr(latents, name)))
    encode_to_file(model, ImageParts(n * [64], lambda i: zeros, ['zeros']), tmp_path / 'a.safetensors')
    assert len(held) >= 2 * n
    assert max(held) - held[4] < n * size / 4, ([mib >> 20 for mib in held], size >> 20)


BAD = {
    'no such place': (['encode', '{model}', 'nowhere', 'x.safetensors'], 'neither a folder nor a data set'),
    'an empty folder': (['encode', '{model}', 'empty', 'x.safetensors'], 'there is no file in the folder'),
    'a folder without images': (['encode', '{model}', 'texts', 'x.safetensors'], 'none of 1 files'),
    'two folders': (['encode', '{model}', 'photos', 'texts', 'x.safetensors'], 'give one folder, or image files'),
    'a data set of another size': (['encode', '{model}', 'cifar10', 'x.safetensors'], 'image_size=32'),
    'more groups than there are': (
        ['encode', '{model}', 'photos', 'x.safetensors', '--groups', '9'], 'this model has 4'),
    'another ending': (['encode', '{model}', 'photos', 'x.npz'], 'call it x.safetensors'),
    'a model in the way': (['encode', '{model}', 'photos', 'm.safetensors'], 'holds no latents'),
    'a file in the way of the parts': (['encode', '{model}', 'photos', 'p.safetensors'], "can't be written"),
    'a folder of somebody else in their way': (['encode', '{model}', 'photos', 'q.safetensors'], "isn't empty"),
    'latents of another model': (['decode', 'demo32', 'a.safetensors', 'y'], '--anyway'),
    'shapes of another model': (['decode', 'demo32', 'a.safetensors', 'y', '--anyway'], 'latents of shape'),
    'no latents': (['decode', '{model}', '{model}', 'y'], 'holds no latents that nvae wrote'),
    'latents that are not there': (['decode', '{model}', 'nowhere.safetensors', 'y'], 'there is no file'),
    'half a file': (['decode', '{model}', 'half.safetensors', 'y'], "can't be read as latents"),
    'a folder with something in it': (['decode', '{model}', 'a.safetensors', 'photos'], "isn't empty"),
    'a temperature for nothing': (['decode', '{model}', 'a.safetensors', 'y', '--temperature', '1'], '--rest draw'),
}


@pytest.fixture
def materials(nvae, model_file, tmp_path):
    "Files to be refused"
    photos_in(tmp_path / 'photos')
    for name in 'empty', 'texts', 'q.parts': (tmp_path / name).mkdir()
    for name in 'texts/a.txt', 'p.parts', 'q.parts/mine.txt': (tmp_path / name).write_text('mine')
    (tmp_path / 'm.safetensors').write_bytes(model_file.read_bytes())
    assert nvae('encode', model_file, 'photos', 'a.safetensors', '--groups', 1).returncode == 0
    (tmp_path / 'half.safetensors').write_bytes((tmp_path / 'a.safetensors').read_bytes()[:-7])
    return model_file


def test_bad_input_costs_one_line_and_leaves_nothing(nvae, materials, tmp_path):
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    for case, (args, says) in BAD.items():
        done = nvae(*(arg.replace('{model}', str(materials)) for arg in args))
        lines = done.stderr.splitlines()
        assert (done.returncode, len(lines)) == (2, 1) and says in lines[0], (case, done.stderr)
        assert {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()} == before, case


@pytest.mark.parametrize('changed, says', [
    (dict(version='"2"'), 'newer nvae'), (dict(names='["../a"]'), "don't fit each other"),
    (dict(groups='7'), 'no group'),
    (dict(space='"pixels"'), 'space'), (dict(names='{'), 'JSON')])
def test_a_header_that_was_changed_is_refused(nvae, materials, tmp_path, changed, says):
    with safe_open(tmp_path / 'a.safetensors', 'pt') as file: header = file.metadata()
    save_file(load_file(tmp_path / 'a.safetensors'), tmp_path / 'changed.safetensors', {**header, **changed})
    with pytest.raises(BadInput, match=re.escape(says)):
        with open_latents(tmp_path / 'changed.safetensors'): pass


def test_names_do_not_lead_out_of_the_folder(nvae, materials, tmp_path):
    with safe_open(tmp_path / 'a.safetensors', 'pt') as file: header = file.metadata()
    names = json.dumps([str(tmp_path / 'photos/cats/000.png'), '../../photos/dogs/001.png', 'x.png', 'X.PNG'])
    save_file(load_file(tmp_path / 'a.safetensors'), tmp_path / 'evil.safetensors', {**header, 'names': names})
    before = (tmp_path / 'photos/cats/000.png').read_bytes()
    assert nvae('decode', materials, 'evil.safetensors', 'deep/er').returncode == 0
    assert len(list((tmp_path / 'deep/er').rglob('*.png'))) == 4
    assert (tmp_path / 'photos/cats/000.png').read_bytes() == before
