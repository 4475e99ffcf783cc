"Several processes and one cache: what the data notebook can't hold."
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

RACE = """
import sys
from nvae.config import Config
from nvae.data import dataloaders
cfg = Config.from_dict(dict(data=dict(dataset=sys.argv[1], root=sys.argv[2] or None, n_train=400, n_test=40)))
print(dataloaders(cfg).info['train_sha256'])
"""


def race(tmp_path, dataset, root=''):
    "Two processes that make the same cached set at once; what each of them saw"
    env = {**os.environ, 'NVAE_CACHE': str(tmp_path / 'cache'), 'OMP_NUM_THREADS': '1'}
    runs = [subprocess.Popen([sys.executable, '-c', RACE, dataset, str(root)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outs = [run.communicate(timeout=240) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outs
    return [out for out, _ in outs], [err for _, err in outs], sorted((tmp_path / 'cache').iterdir())


def test_two_processes_draw_the_same_faces(tmp_path):
    seen, _, kept = race(tmp_path, 'embedded')
    assert seen[0] == seen[1] and seen[0].strip()
    assert len(kept) == 2, 'a training set, a test set, and nothing half-written'


def test_two_processes_decode_the_same_folder(tmp_path):
    album = Path(tmp_path / 'album')
    album.mkdir()
    for i in range(60): Image.new('RGB', (50 + i, 40), (4 * i, 0, 255 - 4 * i)).save(album / f'{i}.jpg')
    (album / 'cover.txt').write_text('not an image')
    seen, errors, kept = race(tmp_path, 'folder', album)
    assert seen[0] == seen[1] and seen[0].strip()
    assert len(kept) == 2
    assert all('skipped 1 of 61 files that are no images: cover.txt' in e for e in errors)
