"watch.html beside a run's notebook: what it shows, that it stops loading itself at the end, and what it may cost"
import io
import re
from html.parser import HTMLParser
from urllib.request import urlopen

import pytest
from PIL import Image
from small_models import SMALL

from nvae.config import configured
from nvae.runs import progress
from nvae.runs.folder import RunDir, append_metrics, open_run, read_status, write_status
from nvae.runs.progress import write_page
from nvae.training.fit import fit

TINY = dict(SMALL, n_groups=1, n_train=16, n_test=8, batch_size=8, epochs=1, name='tiny')


class Places(HTMLParser):
    "What a page asks for: pictures, those inside it apart, and how often it is loaded again"
    def __init__(self, page):
        super().__init__()
        self.images, self.inside, self.again, self.tags = [], [], None, set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.add(tag)
        if tag == 'img': (self.inside if given['src'].startswith('data:') else self.images).append(given['src'])
        if given.get('http-equiv') == 'refresh': self.again = int(given['content'])


def places(run):
    return Places(run.page.read_text())


def test_a_training_leaves_a_page_that_shows_how_it_went(tmp_path, monkeypatch):
    cfg = configured('quickstart', TINY)
    run = open_run(cfg, tmp_path)
    seen = []
    monkeypatch.setattr(progress, 'PAGE_EVERY', 0.)
    fit(cfg, run, watch=lambda *_, **__: seen.append(places(run)))
    assert seen[0].again is not None, 'it loads itself again while the run goes on'
    found = places(run)
    assert found.again is None and read_status(run)['state'] == 'done'
    [curves], images = found.inside, found.images
    assert len(images) == 2 and all((run.path / image).is_file() for image in images)
    assert Image.open(io.BytesIO(urlopen(curves).read())).width > 1000
    assert 'progress' in found.tags and not found.tags & {'script', 'link', 'iframe'}
    assert not re.search(r'https?:|//', run.page.read_text()), 'it asks nobody else for anything'
    assert not list(run.path.glob('.*.tmp'))


@pytest.mark.parametrize('state', ['done', 'failed', 'interrupted'])
def test_what_a_run_says_is_text(tmp_path, state):
    run = RunDir(tmp_path / '<b>run')
    run.path.mkdir()
    append_metrics(run.metrics, dict(kind='train', epoch=1., step=1, value=3., unit='<script>'))
    write_status(run, state=state, message='<img src=x>')
    write_page(run)
    found = places(run)
    assert found.again is None and not found.images and not found.tags & {'script', 'b'}


def test_it_is_written_no_more_often_than_a_hundredth_of_the_time_allows(tmp_path, monkeypatch):
    run = RunDir(tmp_path / 'run')
    run.path.mkdir()
    now = iter([0., 3.])
    monkeypatch.setattr(progress.time, 'monotonic', lambda: next(now))
    assert write_page(run) == 300
    now = iter([0., .01])
    assert write_page(run) == progress.PAGE_EVERY


def test_a_page_that_cannot_be_written_ends_no_training(tmp_path, monkeypatch):
    run = RunDir(tmp_path / 'run')
    run.page.mkdir(parents=True)
    write_page(run)
    monkeypatch.setattr(progress, 'curves_image', lambda records: 1 / 0)
    with pytest.warns(UserWarning, match="watch.html can't be written: ZeroDivisionError"):
        write_page(run)
