"`demo` in place of a file, and weights in 16 bits: with a small model where the kit's own belongs"
import pytest
import torch

import nvae
from nvae import checkpoint
from nvae.checkpoint import load_model, save_model
from nvae.cli import main
from nvae.config import BadInput, Config, ModelConfig
from nvae.model import NVAE
from nvae.recipe import like
from nvae.sample_board import SampleBoard
from nvae.studio import list_models


@pytest.fixture
def models(tmp_path, monkeypatch):
    "The folder `models` of an installation, still empty"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('NVAE_RUNS', raising=False)
    monkeypatch.setattr(checkpoint, 'find_asset', lambda kind: tmp_path / 'assets' / kind)
    (tmp_path / 'assets/models').mkdir(parents=True)
    return tmp_path / 'assets/models'


@pytest.fixture
def small():
    torch.manual_seed(0)
    return NVAE(Config(name='demo', model=ModelConfig(image_size=16, channels=8, n_groups=1, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2))).eval()


def test_demo_is_a_file_everywhere(models, small, tmp_path):
    save_model(small, models / 'demo.model', half=True)
    assert nvae.load('demo', 'cpu').config == small.config
    assert main(['sample', 'demo', '0.7', '0', '--n', '2']) == 0 and main(['info', 'demo']) == 0
    assert like(tmp_path / 'demo-t0.7-seed0.png').meta['model'] == 'demo'
    board = SampleBoard('demo', iterations=1, n=2).wait()
    assert list_models() == {'demo': models / 'demo.model'} and board.studio.home == tmp_path / 'runs/demo'
    assert like(board.save()).meta['model'] == 'demo'


def test_files_called_demo_come_first_and_runs_of_that_name_stay_in_sight(models, small, tmp_path):
    save_model(small, models / 'demo.model')
    (tmp_path / 'runs/demo').mkdir(parents=True)
    mine = save_model(small, tmp_path / 'runs/demo/demo.model')
    assert list_models() == {'demo/demo.model': mine, 'demo': models / 'demo.model'}
    save_model(small, tmp_path / 'demo', epoch=7)
    assert load_model('demo', 'cpu').facts == {'epoch': 7}


def test_an_installation_without_it_says_so(models, capsys):
    assert main(['sample', 'demo', '0.7']) == 2
    assert 'lacks models/demo.model' in capsys.readouterr().err
    with pytest.raises(BadInput, match='lacks models/demo.model'): SampleBoard('demo').wait()
    models.rmdir()
    with pytest.raises(BadInput, match='lacks models/demo.model'): nvae.load('demo')


def test_half_the_size_and_nearly_the_same_images(small, tmp_path):
    whole, half = save_model(small, tmp_path / 'whole.model'), save_model(small, tmp_path / 'half.model', half=True, epoch=3)
    assert half.stat().st_size < .65 * whole.stat().st_size
    loaded = load_model(half, 'cpu')
    assert loaded.facts == {'epoch': 3} and {p.dtype for p in loaded.parameters()} == {torch.float32}
    images = [m.generate(4, .7, seed=0).px.mean for m in (small, loaded)]
    assert 0 < (images[0] - images[1]).abs().max() < .02
    for k, v in loaded.state_dict().items(): assert v.equal(small.state_dict()[k].half().float() if v.dim() > 1 else small.state_dict()[k])


def test_export(small, tmp_path, capsys):
    file = save_model(small, tmp_path / 'whole.model', epoch=3)
    assert main(['export', str(file), str(tmp_path / 'out/light.model'), '--half']) == 0
    assert load_model(tmp_path / 'out/light.model', 'cpu').facts == {'epoch': 3}
    with torch.no_grad(): small.head[1].weight[0, 0] = 1e6
    assert main(['export', str(save_model(small, file)), str(tmp_path / 'b.model'), '--half']) == 2
    assert 'head.1.weight holds numbers beyond 65504' in capsys.readouterr().err and not (tmp_path / 'b.model').exists()
