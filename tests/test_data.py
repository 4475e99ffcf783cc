"Several processes and one cache: what the data notebook can't hold."
import os
import subprocess
import sys
from typing import NamedTuple

from PIL import Image

RACE = """
import sys
from nvae.config import Config
from nvae.data import dataloaders
cfg = Config.from_dict(dict(data=dict(dataset=sys.argv[1], root=sys.argv[2] or None, n_train=400, n_test=40)))
print(dataloaders(cfg).info['train_sha256'])
"""


class Race(NamedTuple):
    "What two processes saw, what they complained of, and the files that they left in the cache"
    seen: list
    errors: list
    kept: list


def race(tmp_path, dataset, root=''):
    "Two processes that make the same cached set at once"
    env = {**os.environ, 'NVAE_CACHE': str(tmp_path / 'cache'), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, '-c', RACE, dataset, str(root)]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    runs = [subprocess.Popen(command, env=env, **pipes) for _ in range(2)]
    said = [run.communicate(timeout=240) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    seen = [out for out, _ in said]
    errors = [err for _, err in said]
    return Race(seen, errors, sorted((tmp_path / 'cache').iterdir()))


def check_same_set(result):
    "Both saw one set, which lies in the cache once"
    first, second = result.seen
    assert first == second
    assert first.strip()
    assert len(result.kept) == 2, 'a training set, a test set, and nothing half-written'


def test_two_processes_draw_the_same_faces(tmp_path):
    check_same_set(race(tmp_path, 'embedded'))


def test_two_processes_decode_the_same_folder(tmp_path):
    album = tmp_path / 'album'
    album.mkdir()
    for i in range(60):
        Image.new('RGB', (50 + i, 40), (4 * i, 0, 255 - 4 * i)).save(album / f'{i}.jpg')
    (album / 'cover.txt').write_text('not an image')
    result = race(tmp_path, 'folder', album)
    check_same_set(result)
    for errors in result.errors:
        assert 'skipped 1 of 61 files that are no images: cover.txt' in errors
