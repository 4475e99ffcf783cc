"Likelihoods: the official numbers, closed forms, independence of how the work is cut up, and what is refused"
import json
import math

import pytest
import torch
from PIL import Image
from test_parity import FIXTURES, Official
from torch import nn

from nvae.config import BadInput, Config, ModelConfig, load_config
from nvae.data import dataloaders
from nvae.evaluate import estimate, evaluate, fid, fid_metric, frechet, gap_images, images_of, plan, summary, with_data
from nvae.losses import negative_elbo
from nvae.model import NVAE


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return NVAE(Config(name='small', model=ModelConfig(image_size=16, channels=8, n_groups=2, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2))).eval()

@pytest.fixture(scope='module')
def binary():
    "Padded binary images, as MNIST's are"
    torch.manual_seed(0)
    return NVAE(Config(name='binary', model=ModelConfig(image_size=32, image_channels=1, crop=2, channels=8, n_groups=1, z_channels=4, enc_cells=1, dec_cells=1, likelihood='bernoulli'))).eval()

@pytest.fixture(scope='module')
def x(): return torch.randint(256, (10, 3, 16, 16), generator=torch.Generator().manual_seed(1)) / 255


@pytest.mark.parametrize('name', FIXTURES)
def test_the_official_importance_weighted_likelihood(name):
    o = Official(name)
    noises = [o.noise(f'iw{k}') for k in range(3)]
    o.check('f64/iw_log_p_k3', estimate(o.model, o.x, noises).log_px)
    together = [torch.stack(group, 1).flatten(0, 1) for group in zip(*noises)]
    o.check('f64/iw_log_p_k3', estimate(o.model, o.x, [together]).log_px)


def test_answer_is_forward(model, x):
    noise = [torch.randn(10, *s) for s in model.cfg.latent_shapes]
    with torch.no_grad(): ours, whole = model.answer(model.read(x), noise), model(x, noise)
    assert all(getattr(ours, k).equal(getattr(whole, k)) for k in ('params', 'kls', 'log_q', 'log_p')) and ours.px.log_prob(x).equal(whole.px.log_prob(x))


def test_estimates_do_not_depend_on_how_the_work_is_cut_up(model, x):
    noise = [torch.randn(10, 6, *s, generator=torch.Generator().manual_seed(2)) for s in model.cfg.latent_shapes]
    def cut(m): return [[e[:, i:i + m].flatten(0, 1) for e in noise] for i in range(0, 6, m)]
    whole = estimate(model, x, cut(6))
    for m in (1, 2, 3):
        for a, b in zip(whole, estimate(model, x, cut(m))): torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-3)
    nelbo = torch.stack([negative_elbo(model(x, [e[:, k] for e in noise]), x) for k in range(6)]).mean(0)
    torch.testing.assert_close(whole.nelbo, nelbo.detach().double(), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize('k,batch_size', [(1, 1), (7, 3), (3, 7), (1000, 64), (64, 64), (65, 64)])
def test_passes_hold_every_draw_once_and_never_too_many_rows(k, batch_size):
    images, draws = plan(k, batch_size)
    assert sum(draws) == k and images * max(draws) <= max(batch_size, 1)


def test_figures_and_units(model, binary, x):
    coloured = evaluate(model, x, importance_samples=3)
    assert coloured['unit'] == 'bits/dim' and coloured['nll'] <= coloured['nelbo']
    assert coloured['nelbo'] == pytest.approx(coloured['nats']['nelbo'] / math.log(2) / 768)
    assert coloured['nelbo_se'] == pytest.approx(coloured['nats']['nelbo_se'] / math.log(2) / 768)
    grey = evaluate(binary, torch.rand(6, 1, 32, 32).round(), importance_samples=3)
    assert grey['unit'] == 'nats' and grey['protocol']['dimensions'] == 784 and grey['protocol']['n_bits'] == 1
    assert grey['nelbo'] == grey['nats']['nelbo'] and 300 < grey['nelbo'] < 3000
    assert json.loads(json.dumps(grey)) == grey and 'nats' in summary(grey)


def test_the_margin_does_not_count(binary):
    x = torch.rand(4, 1, 32, 32).round()
    noise = [torch.randn(4, *s) for s in binary.cfg.latent_shapes]
    out = binary.answer(binary.read(x), noise)
    inner = nn.functional.binary_cross_entropy_with_logits(out.params[..., 2:-2, 2:-2], x[..., 2:-2, 2:-2], reduction='none').sum((1, 2, 3))
    torch.testing.assert_close(estimate(binary, x, [noise]).nelbo, (inner + out.kls.sum(0)).detach().double(), rtol=1e-5, atol=1e-3)


def test_evaluation_repeats_and_changes_nothing(model, x):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    a, b, c = (evaluate(model.train(), x, 5, seed=s) for s in (0, 0, 1))
    assert model.training and not model.eval().training
    assert a['nats'] == b['nats'] != c['nats'] and a['kl_per_group'] == b['kl_per_group']
    assert all(before[k].equal(v) for k, v in model.state_dict().items())
    assert evaluate(model, x, limit=1)['nelbo_se'] is None


def test_batches_and_tensors_give_the_same():
    cfg = load_config('quickstart', {'channels': 8, 'n_mix': 2, 'n_train': 32, 'n_test': 20})
    torch.manual_seed(0)
    model, test = NVAE(cfg).eval(), dataloaders(cfg, progress=False).test
    assert evaluate(model, test, 2, limit=15, batch_size=8)['nats'] == evaluate(model, torch.cat(list(test.batches())), 2, limit=15, batch_size=8)['nats']


@pytest.mark.parametrize('how,says', [(dict(importance_samples=0), 'at least 1'), (dict(importance_samples=-3), 'at least 1'), (dict(limit=11), 'there are 10'), (dict(limit=0), '0 images')])
def test_impossible_evaluations_are_refused(model, x, how, says):
    with pytest.raises(BadInput, match=says): evaluate(model, x, **how)


@pytest.mark.parametrize('spoil,says', [(lambda x: x[..., :8], r'\(3, 16, 8\)'), (lambda x: x[:, :1], r'\(1, 16, 16\)'), (lambda x: x[0], r'\(16, 16\)'), (lambda x: x + .001, '256 levels'),
                                        (lambda x: x - 1, '256 levels'), (lambda x: x * float('nan'), '256 levels')])
def test_images_that_are_not_the_model_s_are_refused(model, x, spoil, says):
    with pytest.raises(BadInput, match=says): evaluate(model, spoil(x))


def test_grey_levels_have_no_probability_under_a_binary_model(binary):
    with pytest.raises(BadInput, match='2 levels'): evaluate(binary, torch.full((2, 1, 32, 32), .5))


def test_other_data(tmp_path):
    cfg = load_config('quickstart')
    for i in range(4): Image.new('RGB', (40, 50), (i, 2 * i, 99)).save(tmp_path / f'{i}.png')
    found = images_of(with_data(cfg, str(tmp_path)))
    assert found.about['data'] == 'folder' and 'resized' in found.about and (found.test.n_images, found.train.n_images) == (1, 3)
    assert next(found.train.batches()).shape == (3, 3, 32, 32)
    assert with_data(cfg, None) is cfg and with_data(cfg, 'embedded') == cfg
    assert with_data(load_config('mnist'), 'fashion_mnist').data.dataset == 'fashion_mnist'
    (tmp_path / 'MNIST').mkdir()
    assert with_data(load_config('mnist'), tmp_path).data == load_config('mnist', {'root': str(tmp_path)}).data
    for where, says in (('mnist', '1 channel'), ('nowhere', 'neither a folder nor a data set'), ('embeded', "did you mean 'embedded'")):
        with pytest.raises(BadInput, match=says): with_data(cfg, where)


class Mean(nn.Module):
    "Mean colour: three features"
    num_features = 3
    def forward(self, x): return x.mean((2, 3)).double()


def test_fid_against_its_formula(model):
    g = torch.Generator().manual_seed(0)
    a, b = torch.rand(300, 3, 8, 8, generator=g), torch.rand(200, 3, 8, 8, generator=g) ** 2
    (m, S), (n, T) = ((f.mean(0), f.T.cov()) for f in (Mean()(a), Mean()(b)))
    values, Q = torch.linalg.eigh(S); root = Q @ values.sqrt().diag() @ Q.T
    cross = torch.linalg.eigvalsh(root @ T @ root).clamp(min=0).sqrt().sum()
    assert frechet(a.split(70), b.split(90), fid_metric(Mean())) == pytest.approx(((m - n).square().sum() + S.trace() + T.trace() - 2 * cross).item(), rel=1e-4)


def test_fid_uses_the_temperature_and_statistics_asked_for(model, x):
    def measured(**more): return fid(model, x, n=8, feature=Mean(), **{**dict(temperature=.7, iterations=1), **more})
    one = measured()
    assert one['fid'] == measured()['fid'] and one['protocol']['features'] == 'Mean' and one['protocol']['samples'] == 8
    assert len({measured(**m)['fid'] for m in ({}, dict(temperature=1.), dict(iterations=0), dict(iterations=3), dict(pixels='sample'), dict(seed=1))}) == 6
    with pytest.raises(BadInput, match='at least 2'): measured(limit=1)


@pytest.mark.parametrize('error,says', [(ModuleNotFoundError('x'), 'pip install torch-fidelity'), (OSError('no route to host'), 'no route.*--inception FILE')])
def test_inception_that_is_not_to_be_had(monkeypatch, error, says):
    import torchmetrics.image.fid
    def fail(**_): raise error
    monkeypatch.setattr(torchmetrics.image.fid, 'FrechetInceptionDistance', fail)
    with pytest.raises(BadInput, match=says): fid_metric()
    with pytest.raises(BadInput, match='nowhere.pth'): fid_metric(weights='nowhere.pth')


def test_the_gap_shows_three_rows(model, x):
    rows = gap_images(model, x[:4], .7, iterations=1)
    assert rows.shape == (12, 3, 16, 16) and rows[:4].equal(x[:4])


def test_progress_is_told(model, x, capsys, monkeypatch):
    monkeypatch.setattr('nvae.evaluate.DELAY', 0)
    evaluate(model, x, 2, progress=True, batch_size=2)
    assert 'evaluating' in capsys.readouterr().err
    evaluate(model, x, 2)
    assert capsys.readouterr().err == ''


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu(model, x):
    here, there = evaluate(model, x, 50), evaluate(model.cuda(), x, 50)
    model.cpu()
    assert there['protocol']['device'] == 'cuda' and abs(here['nelbo'] - there['nelbo']) < .05 * here['nelbo']
