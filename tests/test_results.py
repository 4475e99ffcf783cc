"The scripts behind the page of results"
import sys
from pathlib import Path

import torch
from PIL import Image

from nvae.config import configured
from nvae.evaluation.likelihood import images_of
from nvae.evaluation.probe import columns

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'docs'))
import frechet


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
