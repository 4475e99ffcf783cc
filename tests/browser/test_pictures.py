"Pictures of the boards for the book, in both themes: docs/pictures.py keeps them"
from pathlib import Path

import pytest
from test_lab import after, opened, settled

from nvae.apps import BOARDS
from nvae.config import find_asset

PICTURES = Path(__file__).parents[2] / 'test-output' / 'boards'


def picked(page):
    "Some picks, so that the tray is not empty"
    page.locator('.nvae-tile').nth(1).click()
    for key in '58': page.keyboard.press(key)
    after(page, lambda: page.keyboard.press('0'))
    page.keyboard.press('4')


FIRST = {'cherry': picked}


@pytest.mark.parametrize('name', [name for name, stem in BOARDS.items() if (find_asset('nbs') / f'{stem}.ipynb').exists()])
def test_picture(lab, open_page, project, name):
    for file in (project / 'runs/faces').glob('picks/*'): file.unlink()
    view = opened(lab, open_page, name)
    if name in FIRST: FIRST[name](view.page)
    settled(view.page)
    board = view.page.locator('.nvae-board').first
    PICTURES.mkdir(parents=True, exist_ok=True)
    board.screenshot(path=PICTURES / f'{name}-{lab.theme}.png')
    assert board.bounding_box()['height'] > 200 and not view.problems
