"What images cost and how unusual they are: the numbers, the map, the command, interruptions, what is refused"
import csv
import json

import numpy as np
import pytest
import scipy.stats
import torch
from PIL import Image
from small_models import small_network
from test_encode import KINDS, images_of, photos_in
from torch.distributions import Independent, Normal, kl_divergence
from torchmetrics.functional.classification import binary_auroc

from nvae.errors import BadInput
from nvae.evaluation.likelihood import evaluate
from nvae.evaluation.score import (
    auroc,
    compare_sets,
    map_sheet,
    nats_map,
    noise_of,
    score_batch,
    score_images,
)
from nvae.noise import draw_noise
from nvae.plots.pictures import read_png_meta
from nvae.runs.checkpoint import save_model


@pytest.fixture
def model_file(tmp_path):
    return save_model(small_network(n_groups=2, n_scales=2).eval(), tmp_path / 'small.model')


def by_hand(model, x, noise, K):
    "Both bounds, group by group, by distributions of PyTorch's"
    maps, sums, shared = model.read(x), [], model.cfg.flows_in_prior or not model.cfg.n_flows
    for n_kept in model.cfg.total_groups, K:
        h, kl, zs = model.start.expand(len(x), -1, -1, -1), 0, []
        for g, group in enumerate(model.groups):
            if g: h = model.run(model.top_down[g], h)
            raw = group.prior(h)
            prior, posterior = (Independent(Normal(n.loc, n.scale), 3) for n in (raw, group.posterior(maps[g], h, raw)))
            if g < n_kept:
                base = posterior.mean + posterior.stddev * noise[g]
                zs.append(group.flow(base))
                one_draw = posterior.log_prob(base) - prior.log_prob(zs[g])
                kl = kl + (kl_divergence(posterior, prior) if shared else one_draw)
            else:
                base = prior.mean + prior.stddev * noise[g]
                zs.append(group.flow(base) if shared else base)
            h = group.merge(h, zs[g])
        sums.append(model.decode(zs).log_prob(x).sum((1, 2)) - kl)
    return sums


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_of_network_against_sums_by_hand(kind):
    model = small_network(**KINDS[kind]).eval()
    x, G = images_of(model), model.cfg.total_groups
    noise = draw_noise(model.cfg, len(x), 1)
    found = score_batch(model, x, [noise], range(G + 1))
    assert not found.llr[G].any() and (found.llr[0] != 0).all()
    with torch.no_grad():
        for K in range(G + 1):
            bound, cut = by_hand(model, x, noise, K)
            assert torch.allclose(-found.nats.float(), bound, atol=.02)
            assert torch.allclose(found.llr[K].float(), bound - cut, atol=.02)


@pytest.mark.parametrize('settings', [*KINDS.values(), dict(image_channels=1, likelihood='bernoulli', crop=2)],
                         ids=[*KINDS, 'cropped'])
def test_the_map_sums_up_to_the_nats(settings):
    model = small_network(**settings).eval()
    x = images_of(model)
    noise = draw_noise(model.cfg, len(x), 1)
    found, scores = nats_map(model, x, noise), score_batch(model, x, [noise])
    assert found.total.shape == (3, *model.cfg.size)
    assert torch.allclose(found.total.sum((1, 2)).double(), scores.nats, rtol=1e-5)
    assert torch.allclose(found.groups.sum((2, 3)).double(), scores.kls, rtol=1e-4, atol=1e-3)


def test_the_bound_is_that_of_the_evaluation():
    model = small_network(n_groups=2).eval()
    x = images_of(model, 10)
    for S in 1, 7:
        theirs = evaluate(model, x, S, batch_size=16, seed=3)
        ours = score_images(model, x, [1], S, seed=3, batch_size=16)
        name = 'nelbo' if S == 1 else 'nll'
        assert ours.scores.nats.mean().item() == pytest.approx(theirs['nats'][name], rel=1e-6)
        assert ours.scores.kls.mean(1).tolist() == pytest.approx(theirs['kl_per_group'], rel=1e-6)


def test_seeds_repeat_and_many_draws_leave_less_to_chance():
    model = small_network(n_groups=2).eval()
    x = images_of(model, 3)
    first, again, other = (score_images(model, x, [1], seed=seed) for seed in (0, 0, 1))
    assert all(a.equal(b) for a, b in zip(first.scores, again.scores))
    assert not first.scores.nats.equal(other.scores.nats)
    spread = {}
    for S in 1, 20:
        several = torch.stack([score_images(model, x, [1], S, seed).scores.llr[0] for seed in range(4)])
        spread[S] = several.std(0).mean()
    assert spread[20] < spread[1] / 2


def test_a_map_of_the_command_is_that_of_the_table(model_file, tmp_path):
    model = small_network(n_groups=2, n_scales=2).eval()
    scored = score_images(model, photos_in(tmp_path / 'photos', 7, (16, 16)), batch_size=2)
    noise = [torch.cat(group) for group in zip(*(noise_of(model, scored, i) for i in range(7)))]
    x = torch.cat([scored.images.image(place) for place in scored.places])
    totals = nats_map(model, x, noise).total.sum((1, 2)).double()
    assert torch.allclose(totals, scored.scores.nats, rtol=1e-5)
    assert map_sheet(model, scored, [0]).width > 7 * 84


def test_areas_against_ranks_and_other_libraries():
    rng = np.random.default_rng(0)
    usual, unusual = rng.normal(size=60).round(1), rng.normal(.5, size=45).round(1)  # with ties
    found = auroc(usual, unusual)
    ranks = scipy.stats.mannwhitneyu(unusual, usual).statistic / (60 * 45)
    scores = torch.tensor(scipy.stats.rankdata(np.concatenate([usual, unusual])) / 106)
    assert found.value == pytest.approx(ranks)
    assert found.value == pytest.approx(binary_auroc(scores, torch.tensor([0] * 60 + [1] * 45)).item(), abs=1e-6)

    def area(a, b): return scipy.stats.mannwhitneyu(b, a).statistic / (len(a) * len(b))
    theirs = scipy.stats.bootstrap((usual, unusual), area, n_resamples=1000, vectorized=False, method='percentile',
                                   rng=np.random.default_rng(1)).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(theirs), abs=.02)
    assert auroc([1, 2], [3, 4]) == (1, 1, 1)
    alike = auroc([0, 1] * 30, [0, 1] * 30)
    assert alike.low < alike.value == .5 < alike.high, 'ties count half in the interval too'
    with pytest.raises(BadInput, match='2 images'): auroc([1, 2], [3])


def rows_of(path):
    with open(path, encoding='utf-8', newline='') as f: return list(csv.DictReader(f))


def test_a_folder_by_the_command(nvae, model_file, tmp_path):
    photos_in(tmp_path / 'photos', 12)
    (tmp_path / 'flat').mkdir()
    for i in range(3): Image.new('RGB', (16, 16), (40 * i, 9, 9)).save(tmp_path / f'flat/{i}.png')
    done = nvae('score', model_file, 'photos', '--groups', 1, '--groups', 2, '--against', 'flat', '--map')
    assert done.returncode == 0 and 'skipped 1 of 13' in done.stderr and 'cats/notes.txt' in done.stderr, done.stderr
    assert done.stdout.splitlines()[-3:] == ['scores.csv', 'scores.png', 'scores-map.png']
    rows = rows_of('scores.csv')
    assert [len([row for row in rows if row['set'] == name]) for name in ('photos', 'flat')] == [12, 3]
    assert (rows[0]['file'], rows[0]['label']) == ('cats/000.png', 'cats')
    model = small_network(n_groups=2, n_scales=2).eval()
    ours = [score_images(model, tmp_path / name, [1, 2]) for name in ('photos', 'flat')]
    for i in 0, 11:
        found = [float(rows[i][name]) for name in ('nats', 'llr_1', 'llr_2', 'kl_0')]
        scores = ours[0].scores
        assert found == pytest.approx([v.item() for v in (scores.nats[i], *scores.llr[:, i], scores.kls[0, i])], abs=.1)
    as_json = nvae('score', model_file, 'photos', '--groups', 1, '--groups', 2, '--against', 'flat', '--json')
    told = json.loads(as_json.stdout)
    areas = compare_sets(*ours)
    assert {name: a['value'] for name, a in told['auroc'].items()} == pytest.approx(
        {name: a.value for name, a in areas.items()}, abs=.05)
    assert 'scores-2.csv' in as_json.stderr
    assert read_png_meta('scores.png')['command'].startswith(f'nvae score {model_file} photos --groups=1 --groups=2')


def test_one_image_and_a_data_set(nvae, model_file, tmp_path):
    photos_in(tmp_path / 'photos')
    done = nvae('score', model_file, 'photos/cats/000.png', '--map', '--out', 'deep/a.csv')
    assert done.returncode == 0 and len(rows_of('deep/a.csv')) == 1, done.stderr
    cfg = dict(dataset='embedded', n_train=8, n_test=6)
    other = small_network(name='faces', data=small_network().config.data.model_copy(update=cfg)).eval()
    done = nvae('score', save_model(other, tmp_path / 'faces.model'), 'embedded', '--split', 'test', '--out', 'b.csv')
    assert done.returncode == 0 and rows_of('b.csv')[1]['file'] == 'embedded/test/000001', done.stderr


def test_an_interrupted_scoring_goes_on_and_gives_the_same(model_file, tmp_path, monkeypatch, capsys):
    photos_in(tmp_path / 'photos', 17, (16, 16))
    monkeypatch.setattr('nvae.sampling.encode.AT_ONCE', 8)
    model, seen = small_network(n_groups=2).eval(), []

    def noted(model, x, *more):
        seen.append(len(x))
        if len(seen) == 2: raise KeyboardInterrupt
        return score_batch(model, x, *more)
    monkeypatch.setattr('nvae.evaluation.score.score_batch', noted)
    with pytest.raises(KeyboardInterrupt): score_images(model, tmp_path / 'photos', keep=tmp_path / 'kept')
    again = score_images(model, tmp_path / 'photos', keep=tmp_path / 'kept')
    assert '8 images were done already' in capsys.readouterr().err and sum(seen[2:]) < 17
    monkeypatch.undo()
    monkeypatch.setattr('nvae.sampling.encode.AT_ONCE', 8)
    whole = score_images(model, tmp_path / 'photos')
    assert again.names == whole.names and all(a.equal(b) for a, b in zip(again.scores, whole.scores))
    assert not list((tmp_path / 'kept').iterdir())


BAD = {
    'no such place': (['{model}', 'nowhere'], 'neither a folder nor a data set'),
    'an empty folder': (['{model}', 'empty'], 'there is no file in the folder'),
    'a folder without images': (['{model}', 'texts'], 'none of 1 files'),
    'two folders': (['{model}', 'photos', 'texts'], 'give one folder, or image files'),
    'a data set of another size': (['{model}', 'cifar10'], 'image_size=32'),
    'more groups than there are': (['{model}', 'photos', '--groups', '9'], 'this model has 4'),
    'fewer than none': (['{model}', 'photos', '--groups', '-1'], "'--groups'"),
    'the same folder twice': (['{model}', 'photos', '--against', './photos/'], 'name other images'),
    'nothing to compare with': (['{model}', 'photos', '--against', 'empty'], 'there is no file in the folder'),
    'one image to compare with': (['{model}', 'photos', '--against', 'photos/cats/000.png'], 'needs 2 images'),
    'no draw': (['{model}', 'photos', '--importance-samples', '0'], "'--importance-samples'"),
    'another ending': (['{model}', 'photos', '--out', 'a.txt'], 'call it a.csv'),
    'an input in the way': (['{model}', 'photos/cats/000.png', '--out', 'photos/cats/000.csv'], 'is read, so'),
    'a folder in the way': (['{model}', 'photos', '--out', 'q.csv'], "can't be written"),
}


def test_bad_input_costs_one_line_and_leaves_nothing(nvae, model_file, tmp_path, monkeypatch):
    monkeypatch.setenv('NVAE_CACHE', str(tmp_path / 'cache'))
    photos_in(tmp_path / 'photos')
    (tmp_path / 'photos/cats/notes.txt').unlink()
    for name in 'empty', 'texts', 'q.csv': (tmp_path / name).mkdir()
    (tmp_path / 'texts/a.txt').write_text('mine')
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    for case, (args, says) in BAD.items():
        done = nvae('score', *(arg.replace('{model}', str(model_file)) for arg in args))
        lines = done.stderr.splitlines()
        assert (done.returncode, len(lines)) == (2, 1) and says in lines[0], (case, done.stderr)
        after = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
        assert after == before, case
