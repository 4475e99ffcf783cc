"Likelihoods: the official numbers, closed forms, independence of how the work is cut up, and what is refused"
import ast
import json
import math
import re
from pathlib import Path

import nbformat
import pytest
import torch
from PIL import Image
from small_models import small_network
from test_parity import FIXTURES, Official
from torch import nn

from nvae.config import load_config
from nvae.data.sources import dataloaders
from nvae.errors import BadInput
from nvae.evaluation.fid import fid, fid_metric, frechet, gap_images
from nvae.evaluation.likelihood import (
    Ledger,
    Part,
    estimate,
    evaluate,
    fid_line,
    images_of,
    plan,
    read_part,
    summary,
    with_data,
    write_part,
)
from nvae.network.elbo import negative_elbo
from nvae.network.model import NVAE

ROOT = Path(__file__).resolve().parents[1]
TOLERANCE = dict(rtol=1e-5, atol=1e-3)  # of nats in float32


@pytest.fixture(scope='module')
def model():
    return small_network(n_groups=2).eval()


@pytest.fixture(scope='module')
def binary():
    "Padded binary images, as MNIST's are"
    padded = dict(image_size=32, image_channels=1, crop=2)
    return small_network('binary', n_groups=1, n_mix=10, likelihood='bernoulli', **padded).eval()


@pytest.fixture(scope='module')
def x():
    return torch.randint(256, (10, 3, 16, 16), generator=torch.Generator().manual_seed(1)) / 255


@pytest.mark.parametrize('name', FIXTURES)
def test_the_official_importance_weighted_likelihood(name):
    official = Official(name)
    noises = [official.noise(f'iw{k}') for k in range(3)]
    one_by_one = estimate(official.model, official.x, noises)
    official.check('f64/iw_log_p_k3', one_by_one.log_px)
    together = [torch.stack(group, 1).flatten(0, 1) for group in zip(*noises)]
    at_once = estimate(official.model, official.x, [together])
    official.check('f64/iw_log_p_k3', at_once.log_px)


def test_answer_is_forward(model, x):
    noise = [torch.randn(10, *shape) for shape in model.cfg.latent_shapes]
    with torch.no_grad():
        ours = model.answer(model.read(x), noise)
        whole = model(x, noise)
    for part in 'params', 'kls', 'log_q', 'log_p':
        assert getattr(ours, part).equal(getattr(whole, part))
    assert ours.px.log_prob(x).equal(whole.px.log_prob(x))


def test_estimates_do_not_depend_on_how_the_work_is_cut_up(model, x):
    generator = torch.Generator().manual_seed(2)
    noise = [torch.randn(10, 6, *shape, generator=generator) for shape in model.cfg.latent_shapes]

    def passes(size):
        "The six draws, `size` at a time"
        starts = range(0, 6, size)
        return [[group[:, start:start + size].flatten(0, 1) for group in noise] for start in starts]

    whole = estimate(model, x, passes(6))
    for size in (1, 2, 3):
        for ours, theirs in zip(whole, estimate(model, x, passes(size))):
            torch.testing.assert_close(ours, theirs, **TOLERANCE)
    nelbos = [negative_elbo(model(x, [group[:, k] for group in noise]), x) for k in range(6)]
    torch.testing.assert_close(whole.nelbo, torch.stack(nelbos).mean(0).detach().double(), **TOLERANCE)


@pytest.mark.parametrize('k,batch_size', [(1, 1), (7, 3), (3, 7), (1000, 64), (64, 64), (65, 64)])
def test_passes_hold_every_draw_once_and_never_too_many_rows(k, batch_size):
    images, draws = plan(k, batch_size)
    assert sum(draws) == k
    assert images * max(draws) <= max(batch_size, 1)


def test_figures_and_units(model, binary, x):
    coloured = evaluate(model, x, importance_samples=3)
    assert coloured['unit'] == 'bits/dim'
    assert coloured['nll'] <= coloured['nelbo']
    for figure in 'nelbo', 'nelbo_se':
        assert coloured[figure] == pytest.approx(coloured['nats'][figure] / math.log(2) / 768)
    grey = evaluate(binary, torch.rand(6, 1, 32, 32).round(), importance_samples=3)
    assert grey['unit'] == 'nats'
    assert grey['protocol']['dimensions'] == 784
    assert grey['protocol']['n_bits'] == 1
    assert grey['nelbo'] == grey['nats']['nelbo']
    assert 300 < grey['nelbo'] < 3000
    assert json.loads(json.dumps(grey)) == grey
    assert 'nats' in summary(grey)


def test_the_margin_does_not_count(binary):
    x = torch.rand(4, 1, 32, 32).round()
    noise = [torch.randn(4, *shape) for shape in binary.cfg.latent_shapes]
    out = binary.answer(binary.read(x), noise)
    logits, pixels = (whole[..., 2:-2, 2:-2] for whole in (out.params, x))
    cross_entropy = nn.functional.binary_cross_entropy_with_logits(logits, pixels, reduction='none')
    nelbo = cross_entropy.sum((1, 2, 3)) + out.kls.sum(0)
    torch.testing.assert_close(estimate(binary, x, [noise]).nelbo, nelbo.detach().double(), **TOLERANCE)


def test_evaluation_repeats_and_changes_nothing(model, x):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, again, other = (evaluate(model.train(), x, 5, seed=seed) for seed in (0, 0, 1))
    assert model.training
    assert not model.eval().training
    assert first['nats'] == again['nats']
    assert again['nats'] != other['nats']
    assert first['kl_per_group'] == again['kl_per_group']
    assert all(before[name].equal(value) for name, value in model.state_dict().items())
    assert evaluate(model, x, limit=1)['nelbo_se'] is None


def test_batches_and_tensors_give_the_same():
    cfg = load_config('quickstart', {'channels': 8, 'n_mix': 2, 'n_train': 32, 'n_test': 20})
    torch.manual_seed(0)
    model = NVAE(cfg).eval()
    test = dataloaders(cfg, progress=False).test
    tensor = torch.cat(list(test.batches()))
    in_batches, as_tensor = (evaluate(model, images, 2, limit=15, batch_size=8) for images in (test, tensor))
    assert in_batches['nats'] == as_tensor['nats']


@pytest.mark.parametrize('how,says', [
    (dict(importance_samples=0), 'at least 1'),
    (dict(importance_samples=-3), 'at least 1'),
    (dict(limit=11), 'there are 10'),
    (dict(limit=0), '0 images'),
])
def test_impossible_evaluations_are_refused(model, x, how, says):
    with pytest.raises(BadInput, match=says):
        evaluate(model, x, **how)


@pytest.mark.parametrize('spoil,says', [
    (lambda x: x[..., :8], r'\(3, 16, 8\)'),
    (lambda x: x[:, :1], r'\(1, 16, 16\)'),
    (lambda x: x[0], r'\(16, 16\)'),
    (lambda x: x + .001, '256 levels'),
    (lambda x: x - 1, '256 levels'),
    (lambda x: x * float('nan'), '256 levels'),
])
def test_images_that_are_not_the_model_s_are_refused(model, x, spoil, says):
    with pytest.raises(BadInput, match=says):
        evaluate(model, spoil(x))


def test_grey_levels_have_no_probability_under_a_binary_model(binary):
    with pytest.raises(BadInput, match='2 levels'):
        evaluate(binary, torch.full((2, 1, 32, 32), .5))


def test_other_data(tmp_path):
    cfg = load_config('quickstart')
    for i in range(4):
        Image.new('RGB', (40, 50), (i, 2 * i, 99)).save(tmp_path / f'{i}.png')
    found = images_of(with_data(cfg, str(tmp_path)))
    assert found.about['data'] == 'folder'
    assert 'resized' in found.about
    assert found.test.n_images == 1
    assert found.train.n_images == 3
    assert next(found.train.batches()).shape == (3, 3, 32, 32)
    assert with_data(cfg, None) is cfg
    assert with_data(cfg, 'embedded') == cfg


def test_other_data_of_a_data_set_from_the_net(tmp_path):
    mnist = load_config('mnist')
    assert with_data(mnist, 'fashion_mnist').data.dataset == 'fashion_mnist'
    Image.new('RGB', (40, 50)).save(tmp_path / 'beside.png')
    (tmp_path / 'MNIST').mkdir()
    assert with_data(mnist, tmp_path).data == load_config('mnist', {'root': str(tmp_path)}).data


def test_other_data_that_cannot_be_used():
    impossible = dict(mnist='1 channel', nowhere='neither a folder nor a data set', embeded="did you mean 'embedded'")
    for where, says in impossible.items():
        with pytest.raises(BadInput, match=says):
            with_data(load_config('quickstart'), where)


class Mean(nn.Module):
    "Mean colour: three features"
    num_features = 3

    def forward(self, x):
        return x.mean((2, 3)).double()


def test_fid_against_its_formula(model):
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(300, 3, 8, 8, generator=generator)
    b = torch.rand(200, 3, 8, 8, generator=generator) ** 2
    of_a, of_b = Mean()(a), Mean()(b)
    cov_a, cov_b = of_a.T.cov(), of_b.T.cov()
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors @ values.sqrt().diag() @ vectors.T  # of the covariance of a
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    means_apart = (of_a.mean(0) - of_b.mean(0)).square().sum()
    expected = means_apart + cov_a.trace() + cov_b.trace() - 2 * cross
    measured = frechet(a.split(70), b.split(90), fid_metric(Mean()))
    assert measured == pytest.approx(expected.item(), rel=1e-4)


def test_fid_uses_the_temperature_and_statistics_asked_for(model, x):
    def measured(temperature=.7, iterations=1, **more):
        return fid(model, x, n=8, feature=Mean(), temperature=temperature, iterations=iterations, **more)

    one = measured()
    assert one['fid'] == measured()['fid']
    assert one['protocol']['features'] == 'Mean'
    assert one['protocol']['samples'] == 8
    others = dict(temperature=1.), dict(iterations=0), dict(iterations=3), dict(pixels='sample'), dict(seed=1)
    assert len({one['fid'], *(measured(**other)['fid'] for other in others)}) == 6
    assert fid_line(one).startswith(f"Fréchet distance  {one['fid']:.2f} by Mean (8 samples at temperature 0.7")
    with pytest.raises(BadInput, match='at least 2'):
        measured(limit=1)


def test_no_fid_stands_without_its_feature_network():
    "In what the package prints, and in every paragraph of the book"
    said = {path: [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
            for path in (ROOT / 'nvae').rglob('*.py')}
    for path in (ROOT / 'nbs').rglob('*.ipynb'):
        prose = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == 'markdown']
        said[path] = [part for text in prose for part in text.splitlines()]
    bare = [(path.name, text) for path, texts in said.items() for text in texts
            if re.search(r'\bFID\b', str(text)) and 'Inception' not in text]
    assert bare == []


@pytest.mark.parametrize('error,says', [
    (ModuleNotFoundError('x'), 'pip install torch-fidelity'),
    (OSError('no route to host'), 'no route.*--inception FILE'),
])
def test_inception_that_is_not_to_be_had(monkeypatch, error, says):
    def fail(**_):
        raise error

    monkeypatch.setattr('torchmetrics.image.fid.FrechetInceptionDistance', fail)
    with pytest.raises(BadInput, match=says):
        fid_metric()
    with pytest.raises(BadInput, match='nowhere.pth'):
        fid_metric(weights='nowhere.pth')


def test_the_gap_shows_three_rows(model, x):
    rows = gap_images(model, x[:4], .7, iterations=1)
    assert rows.shape == (12, 3, 16, 16)
    assert rows[:4].equal(x[:4])


def test_progress_is_told(model, x, capsys, monkeypatch):
    monkeypatch.setattr('nvae.evaluation.likelihood.DELAY', 0)
    evaluate(model, x, 2, progress=True, batch_size=2)
    assert 'evaluating' in capsys.readouterr().err
    evaluate(model, x, 2)
    assert capsys.readouterr().err == ''


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu(model, x):
    here = evaluate(model, x, 50)
    there = evaluate(model.cuda(), x, 50)
    model.cpu()
    assert there['protocol']['device'] == 'cuda'
    assert abs(here['nelbo'] - there['nelbo']) < .05 * here['nelbo']


def test_what_is_kept_of_another_evaluation_or_damaged_is_passed_over_with_a_word(model, x, tmp_path, capsys):
    noise = [torch.randn(10, *shape) for shape in model.cfg.latent_shapes]
    part = Part(estimate(model, x, [noise]), 3.5)
    ours = Ledger(tmp_path, 'this one')
    write_part(ours.path, 'this one', part)
    kept = read_part(ours.path, 'this one')
    assert kept.seconds == 3.5
    assert all(a.equal(b) for a, b in zip(kept.found, part.found))
    assert Ledger(tmp_path, 'this one').n == 10
    assert '10 images were done already' in capsys.readouterr().err
    assert Ledger(tmp_path, 'this one', fresh=True).n == 0
    write_part(ours.path, 'another', part)
    assert Ledger(tmp_path, 'this one').n == 0
    assert 'of another evaluation' in capsys.readouterr().err
    for damaged in b'', ours.path.read_bytes()[:-1] + b'?':
        ours.path.write_bytes(damaged)
        assert Ledger(tmp_path, 'this one').n == 0
        assert 'it is damaged' in capsys.readouterr().err


def test_a_disk_that_keeps_nothing_is_no_reason_to_stop(model, x, tmp_path, capsys):
    (tmp_path / 'file').touch()
    assert evaluate(model, x, 2, keep=tmp_path / 'file/folder')['nats'] == evaluate(model, x, 2)['nats']
    assert "can't be kept" in capsys.readouterr().err
