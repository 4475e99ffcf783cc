"`demo` in place of a file, and weights in 16 bits: with a small model where the kit's own belongs"
import pytest
import torch
from small_models import small_network

import nvae
from nvae.boards.sample import SampleBoard
from nvae.boards.session import list_models
from nvae.cli.main import main
from nvae.errors import BadInput
from nvae.runs import checkpoint
from nvae.runs.checkpoint import OWN_MODELS, load_model, own_models, read_file, save_model
from nvae.sampling.provenance import like


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
    return small_network('demo', n_groups=1).eval()


def test_demo_is_a_file_everywhere(models, small, tmp_path):
    save_model(small, models / 'demo.model', half=True)
    assert nvae.load('demo', 'cpu').config == small.config
    assert main(['sample', 'demo', '0.7', '0', '--n', '2']) == 0
    assert main(['info', 'demo']) == 0
    assert like(tmp_path / 'demo-t0.7-seed0.png').meta['model'] == 'demo'
    board = SampleBoard('demo', iterations=1, n=2).wait()
    assert list_models() == {'demo': models / 'demo.model'}
    assert board.studio.home == tmp_path / 'runs/demo'
    assert like(board.save()).meta['model'] == 'demo'


def test_the_kit_has_several_models_and_a_menu_of_them(models, small, tmp_path):
    for name in OWN_MODELS:
        save_model(small, models / f'{name}.model')
    save_model(small, models / 'other.model')
    assert list_models() == {name: models / f'{name}.model' for name in OWN_MODELS} == own_models()
    board = SampleBoard('digits', iterations=1, n=2).wait()
    assert board.studio.home == tmp_path / 'runs/digits'
    assert board.studio.about().startswith('digits: ')
    with pytest.raises(BadInput, match='no file other'):
        nvae.load('other')


def test_each_of_the_kits_models_knows_its_name():
    for name, path in own_models().items():
        config = read_file(path)['config']
        assert config['name'] == name and f'models/{name}.model' in config['description']


def test_files_called_demo_come_first_and_runs_of_that_name_stay_in_sight(models, small, tmp_path):
    save_model(small, models / 'demo.model')
    (tmp_path / 'runs/demo').mkdir(parents=True)
    mine = save_model(small, tmp_path / 'runs/demo/demo.model')
    assert list_models() == {'demo/demo.model': mine, 'demo': models / 'demo.model'}
    save_model(small, tmp_path / 'demo', epoch=7)
    assert load_model('demo', 'cpu').facts == {'epoch': 7}


def test_an_old_picture_finds_the_model_that_was_called_demo(models, small, tmp_path):
    was = save_model(small, models / 'demo.model')
    assert main(['sample', 'demo', '0.7', '0', '--n', '2', '--out', 'old.png']) == 0
    before = like(tmp_path / 'old.png').images
    was.rename(models / 'demo32.model')
    torch.manual_seed(1)
    save_model(small_network('demo', n_groups=2).eval(), models / 'demo.model')
    again = like(tmp_path / 'old.png')
    assert torch.equal(again.images, before) and len(again.model.cfg.latent_shapes) == len(small.cfg.latent_shapes)
    (models / 'demo32.model').unlink()
    with pytest.raises(BadInput, match='its weights differ'):
        like(tmp_path / 'old.png')


def test_an_installation_without_it_says_so(models, capsys):
    lacks = 'lacks models/demo.model'
    assert main(['sample', 'demo', '0.7']) == 2
    assert lacks in capsys.readouterr().err
    with pytest.raises(BadInput, match=lacks):
        SampleBoard('demo').wait()
    models.rmdir()
    with pytest.raises(BadInput, match=lacks):
        nvae.load('demo')


def test_half_the_size_and_nearly_the_same_images(small, tmp_path):
    whole = save_model(small, tmp_path / 'whole.model')
    half = save_model(small, tmp_path / 'half.model', half=True, epoch=3)
    assert half.stat().st_size < .65 * whole.stat().st_size
    loaded = load_model(half, 'cpu')
    assert loaded.facts == {'epoch': 3}
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
    ours, theirs = (model.generate(4, .7, seed=0).px.mean for model in (small, loaded))
    assert 0 < (ours - theirs).abs().max() < .02
    before = small.state_dict()
    for name, tensor in loaded.state_dict().items():
        rounded = before[name].dim() > 1
        expected = before[name].half().float() if rounded else before[name]
        assert tensor.equal(expected)


def test_export(small, tmp_path, capsys):
    file = save_model(small, tmp_path / 'whole.model', epoch=3)
    light = tmp_path / 'out/light.model'
    assert main(['export', str(file), str(light), '--half']) == 0
    assert load_model(light, 'cpu').facts == {'epoch': 3}
    with torch.no_grad():
        small.head[1].weight[0, 0] = 1e6
    save_model(small, file)
    refused = tmp_path / 'b.model'
    assert main(['export', str(file), str(refused), '--half']) == 2
    assert 'head.1.weight holds numbers beyond 65504' in capsys.readouterr().err
    assert not refused.exists()
