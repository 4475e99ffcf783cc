"Servers and pages for the browser tests. Every test keeps screenshots under test-output/browser."
import json
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from playwright.sync_api import sync_playwright

from nvae.apps import BOARDS, Server, with_parameters
from nvae.board_bench import chromium as find_chromium
from nvae.checkpoint import demo_file, save_model
from nvae.config import find_asset, load_config
from nvae.model import NVAE

OUTPUT = Path(__file__).parents[2] / 'test-output' / 'browser'


@pytest.fixture(scope='session')
def project(tmp_path_factory):
    "A folder as a user's: runs/faces with a model, and the boards' notebooks with a few passes of re-estimation"
    root = tmp_path_factory.mktemp('project')
    model = root / 'runs/faces/faces.model'
    model.parent.mkdir(parents=True)
    torch.manual_seed(0)
    if demo_file(): shutil.copy(demo_file(), model)
    else: save_model(NVAE(load_config('quickstart', {'name': 'faces'})), model)
    nbs = root / 'nbs'
    nbs.mkdir()
    for name in BOARDS:
        if (find_asset('nbs') / f'{BOARDS[name]}.ipynb').exists(): with_parameters(name, nbs, FILE='faces', ITERATIONS=2)
    return root


@pytest.fixture(scope='session')
def chromium():
    if not (path := find_chromium()): pytest.fail('the browser tests need Chromium: apt install chromium, or name one in $CHROMIUM')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=['--no-sandbox', '--disable-gpu'])
        yield browser
        browser.close()


def lab_settings(folder, theme):
    "JupyterLab as a person with this theme would have it"
    place = folder / '@jupyterlab/apputils-extension'
    place.mkdir(parents=True)
    (place / 'themes.jupyterlab-settings').write_text(json.dumps({'theme': theme}))


@pytest.fixture(scope='session', params=['JupyterLab Light', 'JupyterLab Dark'], ids=['light', 'dark'])
def lab(request, project, tmp_path_factory):
    "A running JupyterLab on the project, once per theme"
    home = tmp_path_factory.mktemp('home')
    lab_settings(home / 'settings', request.param)
    with Server('lab', project, 'lab', ['--expose-app-in-browser'], HOME=str(home), JUPYTER_CONFIG_DIR=str(home / 'config'), JUPYTERLAB_SETTINGS_DIR=str(home / 'settings'),
                JUPYTERLAB_WORKSPACES_DIR=str(home / 'workspaces'), OMP_NUM_THREADS='1', NVAE_RUNS=str(project / 'runs')) as server:
        server.theme = request.param.split()[1].lower()
        yield server


class Page:
    "A page of Chromium that remembers what went wrong, and draws what it looks like"
    def __init__(self, context, name):
        self.name, self.problems, self.shots = name, [], 0
        self.page = context.new_page()
        self.page.on('console', lambda m: self.problems.append(f"console: {m.text} {m.location['url']}") if m.type == 'error' else None)
        self.page.on('pageerror', lambda e: self.problems.append(f'error: {e}'))
        self.page.on('request', lambda r: self.problems.append(f'request to another machine: {r.url}') if urlsplit(r.url).hostname not in ('127.0.0.1', None, '') else None)

    def ours(self):
        "Problems, but for two of Voila's own page: a font from a CDN, and other projects' extensions of JupyterLab that can't run in it"
        return [p for p in self.problems if '/@fortawesome/' not in p and '/voila/labextensions/' not in p]

    def shot(self, what):
        self.shots += 1
        OUTPUT.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=OUTPUT / f'{self.name}-{self.shots:02d}-{what}.png')


@pytest.fixture
def open_page(chromium):
    contexts = []
    def open(name, **kw):
        contexts.append(chromium.new_context(viewport=dict(width=1280, height=900), **kw))
        return Page(contexts[-1], name)
    yield open
    for context in contexts: context.close()
