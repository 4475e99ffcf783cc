"Exploring and interpolating, with images that come from outside: in JupyterLab, and as applications"
import numpy as np
import pytest
import torch
from PIL import Image
from test_lab import opened, press, until
from test_voila import app  # noqa: F401

from nvae.faces import draw_faces
from nvae.recipe import like
from nvae.viz import image_grid, png, to_pil


def face(number, size=64):
    "A file as somebody would drop it"
    return f'face-{number}.png', png(to_pil(torch.from_numpy(draw_faces([number], size)[0])[0]))


def drop(page, name, content, place=0):
    "Drop a file on the n-th place for images that is to be seen"
    data = page.evaluate_handle("([name, bytes]) => { const d = new DataTransfer(); d.items.add(new File([new Uint8Array(bytes)], name)); return d }", [name, list(content)])
    grid = page.locator('.nvae-grid:has(.nvae-drop:visible)').nth(place)
    for event in 'dragover', 'drop': grid.dispatch_event(event, dict(dataTransfer=data))


def main_grid(page, kind): return page.locator(f'.nvae-grid:has([aria-label="{kind} images"])')


def drawn(page, kind, act):
    "Do something, and wait for the picture that it leads to"
    grid = main_grid(page, kind)
    before = grid.get_attribute('data-serial')
    act()
    page.wait_for_function('([kind, n]) => document.querySelector(`.nvae-grid:has([aria-label="${kind} images"])`).dataset.serial > +n', arg=[kind, before])
    page.wait_for_selector('.nvae-board .nvae-busy', state='detached', timeout=60_000)


def saved(page, folder, pattern):
    "Save, and read what was saved"
    before = set(folder.glob(pattern))
    press(page, 'Save')
    until(lambda: set(folder.glob(pattern)) > before)
    return max(folder.glob(pattern), key=lambda p: p.stat().st_mtime)


def comes_out_again(picture):
    "A saved picture, drawn once more from what it carries, pixel for pixel"
    again = like(picture)
    with Image.open(picture) as before: return np.array_equal(np.asarray(before), np.asarray(image_grid(again.images, **again.grid)))


def explored(view, project):
    "What a person does with the exploring board"
    page, folder = view.page, project / 'runs/faces/pictures'
    def act(f): drawn(page, 'explore', f)
    tiles = main_grid(page, 'explore').locator('.nvae-tile')
    groups = page.locator('.nvae-group')
    assert tiles.count() == 9 * groups.count()
    view.shot('rows')
    act(groups.first.click)
    assert tiles.count() == 9 and groups.first.get_attribute('aria-pressed') == 'true'
    view.shot('group')
    page.keyboard.press('ArrowRight')
    act(lambda: page.keyboard.press('Enter'))
    assert groups.nth(1).get_attribute('aria-pressed') == 'true'
    handle = page.locator('.nvae-board .noUi-handle').nth(1)
    def stronger(): handle.focus(); page.keyboard.press('PageUp')
    act(stronger)
    act(lambda: press(page, 'Vary'))
    act(page.locator('.nvae-scale').last.click)
    act(lambda: tiles.nth(2).click(position=dict(x=30, y=50)))
    assert tiles.first.locator('.nvae-box').is_visible()
    view.shot('place')
    act(lambda: page.get_by_label('difference').select_option('×4'))
    view.shot('difference')
    act(lambda: press(page, 'walk'))
    assert tiles.count() == 1
    view.shot('walk')
    walk = saved(page, folder, 'explore-*.png')
    assert comes_out_again(walk)
    until(lambda: walk.with_suffix('.webp').exists())
    act(lambda: press(page, 'variants'))
    act(lambda: page.get_by_label('difference').select_option('off'))
    act(lambda: press(page, 'an image'))
    act(lambda: drop(page, *face(7)))
    view.shot('image')
    act(lambda: press(page, 'two images'))
    act(lambda: drop(page, *face(12), place=1))
    view.shot('mixed')
    assert comes_out_again(saved(page, folder, 'explore-*.png'))
    drop(page, 'notes.txt', b'not an image', place=1)
    page.wait_for_selector('.nvae-error')
    view.shot('error')
    assert "notes.txt can't be read as an image" in page.locator('.nvae-error').inner_text()
    act(lambda: press(page, 'a sample'))
    press(page, 'Who knows what?')
    page.wait_for_selector('.nvae-knowledge', timeout=60_000)
    page.locator('.nvae-knowledge').scroll_into_view_if_needed()
    view.shot('knowledge')


def interpolated(view, project):
    "What a person does with the interpolating board"
    page, folder = view.page, project / 'runs/faces/pictures'
    def act(f): drawn(page, 'interpolate', f)
    tiles = main_grid(page, 'interpolate').locator('.nvae-tile')
    assert tiles.count() == 10 and tiles.first.get_attribute('aria-label') == 'original A, original A'
    view.shot('samples')
    act(lambda: drop(page, *face(7)))
    act(lambda: drop(page, *face(12), place=1))
    act(lambda: press(page, 'noise'))
    view.shot('images')
    act(lambda: press(page, 'all four ways'))
    assert tiles.count() == 40
    view.shot('four-ways')
    act(page.locator('.nvae-scale').first.click)
    act(lambda: press(page, 'spherical'))
    act(lambda: press(page, 'A ⇄ B'))
    view.shot('one-scale')
    picture = saved(page, folder, 'interpolate-*.png')
    assert comes_out_again(picture)
    until(lambda: picture.with_suffix('.webp').exists())
    box = page.get_by_placeholder('a sample; or pick 1').first
    box.fill('gone.png')
    box.press('Enter')
    page.wait_for_selector('.nvae-error')
    view.shot('error')
    assert 'there is no image gone.png' in page.locator('.nvae-error').inner_text()


USED = dict(explore=explored, interpolate=interpolated)


@pytest.mark.parametrize('name', USED)
def test_lab(lab, open_page, project, name):
    view = opened(lab, open_page, name)
    USED[name](view, project)
    assert not view.problems


@pytest.mark.parametrize('theme', ['light', 'dark'])
@pytest.mark.parametrize('name', USED)
def test_voila(app, name, theme):  # noqa: F811
    view = app(name, theme)
    view.shot('opened')
    assert main_grid(view.page, name).locator('.nvae-tile').count() >= 9
    assert not view.ours()
