"Pictures of the boards in both themes, for the book: docs/pictures.py asks for them"
from pathlib import Path

import pytest
from hands import wear

from nvae.boards.server import BOARDS

SIZE = dict(width=1480, height=880) # of JupyterLab's window; the board gets what its sidebar and bars leave
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
    view.page.locator('.nvae-steps').get_by_role('button', name='top-down: posterior of group 2').click()
    view.page.wait_for_selector('.nvae-told:has-text("posterior of group 2")')


def halfway(view):
    "The slider in the middle of the way"
    slider = view.page.get_by_label('position from A to B')
    slider.focus()
    for _ in range(18): view.page.keyboard.press('ArrowRight')
    view.page.wait_for_selector('.nvae-way[data-frame="18"]')


FIRST = dict(cherry=picks, step=steps, interpolate=halfway)


@pytest.mark.parametrize('name', BOARDS)
def test_picture(lab, home, name):
    view = lab(name, 'pictures')
    view.page.set_viewport_size(SIZE)
    if name in FIRST: FIRST[name](view)
    board = view.page.locator('.nvae-board').first
    PICTURES.mkdir(parents=True, exist_ok=True)
    for theme in 'dark', 'light':
        wear(view.page, theme)
        board.screenshot(path=PICTURES / f'{name}-{theme}.png')
    assert board.bounding_box()['height'] > 200 and not view.ours()
