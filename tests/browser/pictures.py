"Pictures of the boards in both themes, for the book: docs/pictures.py asks for them"
from pathlib import Path

import pytest
from hands import wear

from nvae.boards.server import BOARDS

PICTURES = Path(__file__).parents[2] / 'test-output' / 'boards'


def picks(view):
    "Some picks, so that the tray is not empty"
    view.tiles('cherry images').nth(1).click()
    for key in '58': view.page.keyboard.press(key)
    view.after('cherry images', lambda: view.page.keyboard.press('0'))
    view.page.keyboard.press('4')
    view.page.wait_for_selector('text=4 of 9 picked')


def steps(view):
    "The posterior of a group in the middle"
    view.tiles('step images').focus()
    for _ in range(14): view.page.keyboard.press('ArrowRight')
    view.page.wait_for_selector('text=15 of')


def between_faces(view):
    "Noise, and all four ways"
    view.after('interpolate images', lambda: view.press('all four ways'))


FIRST = dict(cherry=picks, step=steps, interpolate=between_faces)


@pytest.mark.parametrize('name', BOARDS)
def test_picture(lab, home, name):
    view = lab(name, 'pictures')
    if name in FIRST: FIRST[name](view)
    board = view.page.locator('.nvae-board').first
    PICTURES.mkdir(parents=True, exist_ok=True)
    for theme in 'dark', 'light':
        wear(view.page, theme)
        board.screenshot(path=PICTURES / f'{name}-{theme}.png')
    assert board.bounding_box()['height'] > 200 and not view.ours()
