"Files of before the package had folders (tests/old) load, go on, and are drawn again to within one level of 255"
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training import images

import nvae
from nvae.data.sources import loaders_from
from nvae.runs.checkpoint import read_checkpoint
from nvae.runs.folder import RunDir, read_metrics

OLD = Path(__file__).parent / 'old'
PICTURES = sorted(path.name for path in (OLD / 'pictures').glob('*.png'))


@pytest.fixture
def old(nvae, tmp_path, monkeypatch):  # after `nvae`, which goes into a folder of its own
    "A copy of the old files, as the working folder"
    shutil.copytree(OLD, tmp_path / 'old')
    monkeypatch.chdir(tmp_path / 'old')
    return tmp_path / 'old'


def last_measured(metrics):
    "The last record of held-out images"
    return [record for record in read_metrics(metrics) if record['kind'] == 'test'][-1]


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


@pytest.mark.parametrize('name', ['colour', 'grey'])
def test_models_load(old, name):
    model = nvae.load(f'{name}.model', device='cpu')
    drawn = nvae.sample_images(model, 2, .7, iterations=2)
    assert drawn.shape == (2, 3 if name == 'colour' else 1, 16, 16)
    assert drawn.isfinite().all()


def test_info_tells_the_method(nvae, old):
    assert nvae('info', 'colour.model').returncode == 0
    assert nvae('info', 'runs/mid/mid.checkpoint').returncode == 0


def test_a_run_stopped_in_mid_epoch_goes_on(old):
    "It takes the remaining steps, and ends about where the run ended that nothing stopped"
    cfg = nvae.load_config('runs/mid/config.yaml')
    data = loaders_from(cfg, images(40, 0), images(8, 1))
    assert read_checkpoint('runs/mid/mid.checkpoint')['progress']['step'] == 7
    nvae.fit(cfg, nvae.open_run(cfg, 'runs'), data)
    run = RunDir(Path('runs/mid'))
    assert json.loads(run.status.read_text())['step'] == 15
    ended, expected = (last_measured(path) for path in (run.metrics, Path('whole-metrics.jsonl')))
    assert ended['step'] == expected['step']
    assert ended['nelbo'] == pytest.approx(expected['nelbo'], rel=1e-3)


@pytest.mark.parametrize('name', PICTURES)
def test_pictures_are_drawn_again(nvae, old, name):
    assert nvae('sample', '--like', f'pictures/{name}', '--out', 'again.png').returncode == 0
    assert abs(pixels(f'pictures/{name}') - pixels('again.png')).max() <= 1


def test_picks_are_drawn_again(nvae, old):
    picks = next(Path('picks').glob('*.json'))
    assert nvae('sample', 'colour.model', '--like', str(picks), '--out', 'again.png').returncode == 0


def test_a_plan_that_is_done_stays_done(nvae, old):
    before = Path('runs/short/short.checkpoint').read_bytes()
    assert nvae('schedule', 'night.yaml').returncode == 0
    assert Path('runs/short/short.checkpoint').read_bytes() == before
