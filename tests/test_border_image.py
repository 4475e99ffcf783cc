"Images, their cache and official checkpoints at the border: what the notebooks can't hold"
import argparse
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import small_network

from nvae.cli.main import main
from nvae.config import Config
from nvae.data import images
from nvae.data.sources import dataloaders
from nvae.interop import to_official

WRITE = """
import sys, os
from nvae.data import images
def blocks(info):
    yield images.np.zeros((2, 1, 4, 4), 'uint8')
    print('half', flush=True)
    if sys.argv[1] == 'killed': os.kill(os.getpid(), 9)
    sys.stdin.read()
images.cached('set', [], 1, blocks)
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('NVAE_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def album(tmp_path):
    "A folder of twelve pictures of noise"
    rng, folder = np.random.default_rng(0), tmp_path / 'album'
    folder.mkdir()
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3)).astype(np.uint8)).save(folder / f'{i}.png')
    return folder


def read(album):
    "The loaders of a folder"
    small = dict(image_size=16)
    return dataloaders(Config.from_dict(dict(model=small, data=dict(dataset='folder', root=str(album)),
                                             train=dict(batch_size=2))))


def start(how):
    "A process in the middle of writing a set"
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process = subprocess.Popen([sys.executable, '-c', WRITE, how], **pipes)
    assert process.stdout.readline() == 'half\n'
    return process


def test_what_a_killed_process_left_in_the_cache_is_cleared_while_another_writes(cache):
    start('killed').wait(60)
    assert len(list(cache.iterdir())) == 1
    writing = start('writing')
    assert len(list(cache.iterdir())) == 1, 'the dead one is gone, the living one is there'
    images.cached('other', [], 1, lambda info: iter([np.zeros((1, 1, 4, 4), np.uint8)]))
    writing.communicate('')
    assert writing.returncode == 0
    assert sorted(path.name.count('.') for path in cache.iterdir()) == [0, 0]
    assert all(sorted(os.listdir(path)) == ['info.json', 'pixels.u8', 'sizes.npy'] for path in cache.iterdir())


def cut(raw): return raw[:len(raw) // 2]
def zeroed(raw): return bytes(len(raw))
def flipped(raw): return raw[:-2] + bytes([raw[-2] ^ 1]) + raw[-1:]
def swapped(raw): return raw[-16:] + raw[16:-16] + raw[:16]
def emptied(raw): return b''
def deep(raw): return b'[' * 100_000


@pytest.mark.parametrize('name', ['pixels.u8', 'sizes.npy', 'info.json'])
@pytest.mark.parametrize('harm', [cut, zeroed, flipped, swapped, emptied, deep])
def test_a_damaged_set_is_said_and_decoded_anew(harm, name, cache, album, capsys):
    before = read(album).info
    for kept in cache.iterdir():
        (kept / name).write_bytes(harm((kept / name).read_bytes()))
    images._digest.cache_clear()
    now = read(album).info
    assert now | dict(remarks=before['remarks']) == before and str(now['remarks']).count('are damaged') == 2
    assert capsys.readouterr().err.count('are damaged') == 2
    read(album)
    assert 'are damaged' not in capsys.readouterr().err


def test_sets_of_before_have_fewer_digests_and_are_read(cache, album, capsys):
    before = read(album).info
    for kept in cache.iterdir():
        info = images.json.loads((kept / 'info.json').read_text())
        del info['info_sha256'], info['sizes_sha256']
        (kept / 'info.json').write_text(images.json.dumps(info))
    assert read(album).info == before
    assert not capsys.readouterr().err


def test_a_cache_that_gives_back_something_else_each_time_ends_in_words(cache, album, monkeypatch):
    monkeypatch.setattr(images, '_digest', lambda *_: 'another')
    with pytest.raises(images.BadInput, match='three times'):
        read(album)


def official_file(path, before='', **changes):
    "A checkpoint of somebody's own training, with some arguments changed"
    weights, args = to_official(small_network(likelihood='normal', n_mix=1))
    weights = {before + key: value for key, value in weights.items()}
    torch.save(dict(state_dict=weights, args=argparse.Namespace(**{**args, **changes}), loss=np.float64(.5)), path)
    return path


@pytest.mark.parametrize('before', ['', 'module.', 'module.model.'])
def test_a_checkpoint_of_ones_own_images_is_imported(before, tmp_path, capsys):
    file, out = official_file(tmp_path / '(1).pt', before, dataset='my_cats'), tmp_path / 'cats.model'
    assert main(['import', str(file), str(out)]) == 2
    assert '--image-size' in capsys.readouterr().err
    assert main(['import', str(file), str(out), '--image-size', '16']) == 0
    assert out.exists()
    assert main(['import', str(file), str(out), '--image-size', '32', '--force']) == 2, 'the weights are of 16×16'
    assert main(['import', str(file), str(out), '--image-size', '16', '--channels', '1', '--force']) == 2
