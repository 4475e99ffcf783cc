"Interpolating, used as a person would, between images that come from outside"
from hands import comes_out_again, face, until

CAPTION = 'interpolate images'


def test_interpolate(board, home):
    view = board('interpolate')
    page, tiles = view.page, view.tiles(CAPTION)
    def after(act): view.after(CAPTION, act)
    assert tiles.count() == 10 and tiles.first.get_attribute('aria-label') == 'original A, original A'
    view.shot('samples')
    after(lambda: view.drop(*face(7)))
    after(lambda: view.drop(*face(12), place=1))
    after(lambda: view.press('z'))
    view.shot('images')
    after(lambda: view.press('all four ways'))
    assert tiles.count() == 40
    view.shot('four-ways')
    view.unfold()
    after(page.locator('.nvae-scale').first.click)
    after(lambda: view.press('one way'))
    after(lambda: view.press('linear'))
    after(lambda: view.press('A ⇄ B'))
    view.shot('one-scale')
    def more_steps():
        page.get_by_label('steps').first.fill('30')
        page.keyboard.press('Enter')
    after(more_steps)
    tiles.last.scroll_into_view_if_needed()
    board, last = page.locator('.nvae-board').bounding_box(), tiles.last.bounding_box()
    assert last['x'] + last['width'] <= board['x'] + board['width']
    view.shot('long')
    picture = view.save(home / 'pictures', 'interpolate-*.png')
    until(picture.with_suffix('.webp').exists)
    assert comes_out_again(picture)
    box = page.get_by_placeholder('a sample; or pick 1').first
    box.fill('gone.png')
    box.press('Enter')
    assert 'there is no image gone.png' in view.error()
    view.shot('error')
    assert not view.ours()
