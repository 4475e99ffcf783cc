"The scripts behind the pages of results and ablations"
import copy
import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from nvae.config import configured
from nvae.evaluation.likelihood import images_of
from nvae.evaluation.probe import columns
from nvae.network.cells import TopDownCell
from nvae.network.cost import n_parameters
from nvae.network.fast import use_fast
from nvae.network.model import NVAE
from nvae.network.normal import Normal

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'docs'))
import ablations
import frechet
import variants
from book import Chapter


def test_a_photograph_is_known_by_its_folder(tmp_path):
    "Each image's fact is that of its own file: red ones lie in one folder, blue ones in another"
    for part, n in (('train', 6), ('test', 3)):
        for name, colour in (('red', (200, 0, 0)), ('sea', (0, 0, 200))):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(n): Image.new('RGB', (32, 32), colour).save(tmp_path / part / name / f'{i}.png')
    cfg = configured('cifar10_small', ['batch_size=1'], tmp_path)
    images = images_of(cfg)
    for part, facts in zip((images.train, images.test), frechet.facts_of(cfg, images)):
        found = frechet.known(part, facts, 100)
        assert torch.equal(found.x[:, 2].mean((1, 2)) > .5, found.facts['class'] == 1)


def test_a_reader_learns_what_images_show_the_same_each_time(monkeypatch):
    monkeypatch.setattr(frechet, 'BATCH', 16)
    label = torch.arange(128) % 3
    x = .1 * torch.rand(128, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    x[torch.arange(128), label] += .5  # one of the three colours is bright
    train, test = frechet.Known(x[:96], {'class': label[:96]}), frechet.Known(x[96:], {'class': label[96:]})
    reader, again = (frechet.train_reader(train, 'of colours') for _ in range(2))
    assert frechet.scores(reader, train, test)['class'] > .9
    torch.testing.assert_close(reader(test.x), again(test.x))
    assert columns(label).shape[1] == reader.answer.out_features


@pytest.fixture
def thin():
    "The network of the ablations, thinner still"
    cfg = configured('digits', [*ablations.NETWORK.split(), 'channels=4', 'n_groups=1'])
    torch.manual_seed(0)
    return use_fast(NVAE(cfg))


def norms(model): return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


def test_an_ablation_changes_what_it_is_named_after(thin):
    before, x = n_parameters(thin), torch.ones(2, 1, 32, 32)
    regular = ablations.with_regular_cells(copy.deepcopy(thin))
    kept = [m for m in regular.modules() if isinstance(m, TopDownCell)]
    assert not kept and abs(n_parameters(regular) / before - 1) < .02
    free = ablations.without_norm(copy.deepcopy(thin))
    assert norms(thin) and not norms(free) and n_parameters(free) == before
    for model in regular, free: assert model(x, seed=0).params.isfinite().all()
    with ablations.without_clamp(): wide = Normal(torch.tensor(50.), torch.tensor(0.)).loc
    assert (wide, Normal(torch.tensor(50.), torch.tensor(0.)).loc) == (50., 5.)


def test_he_keeps_the_size_of_activations(thin):
    "By He et al.: ReLU and convolution together keep the mean square; PyTorch's first weights leave a sixth of it"
    def mean_square(model):
        conv = ablations.convolutions(ablations.cells_of(model)[0])[0]
        x = torch.randn(16, conv.in_channels, 32, 32, generator=torch.Generator().manual_seed(0))
        return conv(x.relu())[..., 2:-2, 2:-2].square().mean().item()
    torch.manual_seed(0)
    assert mean_square(ablations.he(copy.deepcopy(thin))) == pytest.approx(1, abs=.35)
    assert mean_square(thin) < .4


def test_a_plan_of_ablations_is_paired():
    "Runs of a seed differ in what is changed alone; a later setting wins"
    plain, changed = (ablations.settings(ablations.RUNS[name], 1) for name in ('as it is', 'no squeeze-and-excitation'))
    assert set(changed) - set(plain) == {'squeeze_excitation=false'} and set(plain) <= set(changed)
    assert {'lr=0.1', 'n_train=1280'} < set(ablations.settings(ablations.RUNS['rate 0.1'], 0))
    assert ablations.asked(ablations.TABLE, ['no soft clamp, seed 1']) == [('no soft clamp', 1)]
    assert ablations.Steps([1.] * 10 + [1.4, 1.6, 1.]).spikes == 1


@pytest.mark.parametrize('table', [ablations.TABLE, variants.TABLE], ids=lambda table: table.script)
def test_the_page_of_ablations_tells_what_its_lines_say(table):
    page = Chapter(ablations.PAGE / '04_ablations.ipynb', ablations.PAGE.parent).notebook
    shown = '\n'.join(str(output.get('data', {}).get('text/markdown', '')) for cell in page.cells
                      if cell.cell_type == 'code' for output in cell.outputs)
    lines = [json.loads(line) for line in table.file.read_text(encoding='utf-8').splitlines()]
    done = [(r['name'], r['seed']) for r in lines]
    assert len(set(done)) == len(done) and set(done) <= {(n, seed) for n in table.plans for seed in ablations.SEEDS}
    lacking = dict.fromkeys(name for name, _ in ablations.asked(table, []))
    assert not lacking or f"Not measured yet: {'; '.join(lacking)}." in shown
    rows = {}
    for row in shown.splitlines(): rows.setdefault(row.split(' | ')[0].removeprefix('| '), row)
    for r in lines:
        if r['name'] in lacking: continue
        assert r['settings'] == ' '.join(ablations.settings(table.plans[r['name']], r['seed']))
        digits = 1 if r['name'].startswith('rate') else 2
        reached = '—' if r.get('nelbo') is None else f"{r['nelbo']:.{digits}f}"
        assert reached in rows[r['name']], r['name']
