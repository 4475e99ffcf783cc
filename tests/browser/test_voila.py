"The boards as applications: what `nvae cherry` and its like open"
import pytest
from test_lab import after, picks_of, press, until

from nvae.apps import Server, with_parameters


@pytest.fixture
def app(project, tmp_path, open_page):
    "app(board, theme) opens a board's notebook through Voila"
    servers = []
    def start(name, theme='light', **parameters):
        notebook = with_parameters(name, tmp_path, FILE=str(project / 'runs/faces/faces.model'), ITERATIONS=2, RUNS=str(project / 'runs'), **parameters)
        servers.append(Server('voila', notebook, more=[f'--theme={theme}'], OMP_NUM_THREADS='1'))
        view = open_page(f'voila-{theme}-{name}')
        view.page.goto(servers[-1].address)
        view.page.wait_for_selector('.nvae-board .nvae-calm', timeout=120_000)
        return view
    yield start
    for server in servers: server.close()


@pytest.mark.parametrize('theme', ['light', 'dark'])
def test_sample(app, theme):
    view = app('sample', theme)
    page = view.page
    assert page.locator('.nvae-tile').count() == 9
    after(page, lambda: press(page, 'New'))
    view.shot('samples')
    assert not view.ours()


def test_cherry_takes_keys_at_once(app, project):
    for file in (project / 'runs/faces').glob('picks/*'): file.unlink()
    view = app('cherry', SEED=3)
    page = view.page
    for key in '195': page.keyboard.press(key)
    until(lambda: picks_of(project) == [(3, 0), (3, 8), (3, 4)])
    after(page, lambda: page.keyboard.press('ArrowRight'))
    view.shot('picked')
    assert not view.ours()
    page.reload()
    page.wait_for_selector('.nvae-board .nvae-calm', timeout=120_000)
    assert page.locator('.nvae-grid').nth(1).locator('.nvae-tile').count() == 3
