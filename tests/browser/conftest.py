"Servers and pages for the browser tests. Every test keeps screenshots under test-output/browser."
import os
import shutil
import subprocess
import sys

import pytest
import torch
from chromium import find_chromium
from hands import Page, asked, run
from playwright.sync_api import sync_playwright
from sizes import USUAL

from nvae.boards.server import BOARDS, Server, app_notebook, with_parameters
from nvae.config import Config, ModelConfig
from nvae.network.model import NVAE
from nvae.runs.checkpoint import save_model

SPIN = 'import os; tests = os.getppid()\nwhile os.getppid() == tests: pass'


@pytest.fixture(scope='session', autouse=True)
def other_work():
    "With BUSY=1 every core has other work while the tests run, as on the machine of somebody who trains"
    n_cores = os.cpu_count() if os.environ.get('BUSY') else 0
    busy = [subprocess.Popen([sys.executable, '-c', SPIN]) for _ in range(n_cores)]
    yield
    for process in busy:
        process.kill()
        process.wait()


@pytest.fixture(scope='session')
def project(tmp_path_factory):
    """A folder as a user's: a run of a small model beside the kit's own, and the boards' notebooks with few passes of
    re-estimation"""
    root = tmp_path_factory.mktemp('project')
    (root / 'runs/small').mkdir(parents=True)
    torch.manual_seed(0)
    small = ModelConfig(image_size=16, channels=8, n_groups=2, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2)
    save_model(NVAE(Config(name='small', model=small)), root / 'runs/small/small.model')
    for folder, parameters in dict(nbs=dict(FILE='demo32', ITERATIONS=2), pictures=dict(FILE='demo')).items():
        (root / folder).mkdir()
        for name in BOARDS: with_parameters(name, root / folder, **parameters)
    return root


@pytest.fixture
def home(project):
    "Where the boards put what is picked and saved; empty"
    shutil.rmtree(project / 'runs/demo32', ignore_errors=True)
    return project / 'runs/demo32'


@pytest.fixture(scope='session')
def chromium():
    path = find_chromium()
    if not path: pytest.fail('the browser tests need Chromium: apt install chromium, or name one in $CHROMIUM')
    options = dict(executable_path=path, args=['--no-sandbox', '--disable-gpu'])
    with sync_playwright() as playwright, playwright.chromium.launch(**options) as browser: yield browser


@pytest.fixture(scope='session')
def server(project, tmp_path_factory):
    "A running JupyterLab on the project"
    own = tmp_path_factory.mktemp('own')
    folders = dict(HOME=own, JUPYTER_CONFIG_DIR=own / 'config', JUPYTERLAB_SETTINGS_DIR=own / 'settings',
                   JUPYTERLAB_WORKSPACES_DIR=own / 'workspaces', NVAE_RUNS=project / 'runs')
    environment = {name: str(folder) for name, folder in folders.items()}
    with Server('lab', project, 'lab', ['--expose-app-in-browser'], OMP_NUM_THREADS='1', **environment) as running:
        yield running


@pytest.fixture
def notebook(server, chromium):
    "notebook(name, folder) opens a notebook in JupyterLab"
    contexts = []
    def start(name, folder='nbs'):
        contexts.append(chromium.new_context(viewport=USUAL))
        view = Page(contexts[-1], f'lab-{name}', server)
        view.page.goto(server.address.replace('/lab?', f'/lab/tree/{folder}/{name}.ipynb?reset&'))
        return view
    yield start
    for context in contexts: context.close()
    end_sessions(server)


@pytest.fixture
def lab(notebook):
    "lab(board) opens a board's notebook in JupyterLab and runs it"
    return lambda *place: run(notebook(*place))


def end_sessions(server):
    "Kernels of notebooks that were closed stay, unless they are told"
    for session in asked(server, 'sessions'): asked(server, f"sessions/{session['id']}", 'DELETE')


@pytest.fixture
def app(project, tmp_path, chromium):
    "app(board) opens a board's notebook through Voila, some boards in the one theme and some in the other"
    opened = []
    def start(name, theme='', **parameters):
        theme = theme or ('dark' if name in ('cherry', 'interpolate') else 'light')
        shade = 'light' if theme == 'system' else theme
        values = dict(FILE='demo32', ITERATIONS=2, RUNS=str(project / 'runs')) | parameters
        notebook = app_notebook(name, tmp_path, theme, **values)
        opened.append(Server('voila', notebook, more=[f'--theme={shade}'], OMP_NUM_THREADS='1'))
        opened.append(chromium.new_context(viewport=USUAL))
        view = Page(opened[-1], f'voila-{theme}-{name}', opened[-2])
        view.page.goto(opened[-2].address)
        return view.settled()
    yield start
    for o in reversed(opened): o.close()


@pytest.fixture(params=['lab', 'voila'])
def board(request):
    "board(name) opens a board's notebook; every test that asks for it is done in JupyterLab and as an application"
    return request.getfixturevalue(dict(lab='lab', voila='app')[request.param])
