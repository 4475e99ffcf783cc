"Exploring, used as a person would, with images that come from outside, tab by tab"
from hands import comes_out_again, face, until
from sizes import check_long_rail, check_sizes

CAPTION = 'explore images'


def test_explore(board, home):
    view = board('explore')
    page, tiles, heads = view.page, view.tiles(CAPTION), view.page.locator('.nvae-head-group')
    def after(act): view.after(CAPTION, act)
    def save(): return view.save(home / 'pictures', 'explore-*.png')
    assert tiles.count() == 9 * heads.count() == 9 * page.locator('.nvae-framed').count()
    bars = [bar.evaluate('bar => bar.offsetWidth') for bar in page.locator('.nvae-head-bar > span').all()]
    assert max(bars) >= 39 and min(bars) < 20
    view.shot('rows')
    if not view.is_lab: check_sizes(view, '.nvae-tabs', '.nvae-tiles')
    walk = page.locator('.nvae-head-walk').nth(1)
    walk.click()
    page.wait_for_selector('.nvae-head-walk[aria-pressed=true]')
    still = page.locator('.nvae-framed .nvae-pic').nth(1)
    before = still.get_attribute('style')
    until(lambda: still.get_attribute('style') != before, 5)
    view.shot('walk-in-place')
    walk.click()
    page.wait_for_selector('.nvae-head-walk[aria-pressed=true]', state='detached')
    after(heads.first.click)
    assert tiles.count() == 9 and page.locator('.nvae-group').first.get_attribute('aria-pressed') == 'true'
    after(lambda: view.slide(page.locator('.nvae-board .noUi-handle:visible').first, 'PageUp'))
    after(lambda: view.press('Vary'))
    after(lambda: tiles.nth(2).click(position=dict(x=30, y=50)))
    assert tiles.first.locator('.nvae-box').is_visible()
    assert comes_out_again(save())
    after(lambda: view.press('◂ All groups'))
    after(lambda: page.get_by_label('difference').select_option('×4'))
    view.shot('difference')
    after(lambda: view.press('walk'))
    assert tiles.count() == 1
    film = save()
    until(film.with_suffix('.webp').exists)
    assert comes_out_again(film)
    after(lambda: view.press('variants'))
    after(lambda: view.press('an image'))
    after(lambda: view.drop(*face(7)))
    view.shot('image')
    assert comes_out_again(save())
    view.drop('notes.txt', b'not an image')
    assert "notes.txt can't be read as an image" in view.error()
    view.shot('error')
    assert not view.ours()


def gives_a_lasso_up(page, plane):
    "The browser takes the pointer away in the middle of a lasso: nothing of it stays"
    frame = plane.bounding_box()
    page.mouse.move(frame['x'] + 5, frame['y'] + 5)
    page.mouse.down()
    page.mouse.move(frame['x'] + 60, frame['y'] + 5, steps=3)
    assert page.locator('.nvae-lasso polygon').get_attribute('points')
    plane.dispatch_event('pointercancel')
    assert not page.locator('.nvae-lasso polygon').get_attribute('points')
    page.mouse.up()


def turn_to(view, tab):
    view.page.get_by_role('tab', name=tab).click()
    view.page.wait_for_timeout(300)
    view.settled()


def test_tabs(app, home):
    "What stands behind the other tabs"
    view = app('explore')
    page = view.page
    def after(act): view.after(CAPTION, act)
    def save(pattern='explore-*.png'): return view.save(home / 'pictures', pattern)
    turn_to(view, 'mixing desk')
    after(lambda: page.get_by_label('source of group 0').select_option('B'))
    after(lambda: page.get_by_label('amount of group 3').press('ArrowRight'))
    after(lambda: page.locator('.nvae-plane').click(position=dict(x=30, y=30)))
    assert float(page.locator('.nvae-pad input').first.input_value()) < -1
    check_long_rail(view)
    assert comes_out_again(save())
    turn_to(view, 'map')
    plane = page.locator('.nvae-map-plane')
    frame = plane.bounding_box()
    def lasso(*corners):
        there = [(frame['x'] + x * frame['width'], frame['y'] + y * frame['height']) for x, y in corners]
        page.mouse.move(*there[0])
        page.mouse.down()
        for corner in there[1:]: page.mouse.move(*corner, steps=3)
        page.mouse.up()
    lasso((.01, .01), (.45, .01), (.45, .99), (.01, .99))
    gives_a_lasso_up(page, plane)
    page.get_by_role('button', name='those', exact=True).click()
    lasso((.55, .01), (.99, .01), (.99, .99), (.55, .99))
    these, those = (page.locator(f'.nvae-thumb[data-hand={hand}]').count() for hand in ('these', 'those'))
    assert these > 5 and those > 5 and page.get_by_label('from', exact=True).input_value() == 'map'
    view.shot('map')
    page.get_by_label('name', exact=True).fill('across')
    page.get_by_label('name', exact=True).press('Enter')
    view.press('Make direction')
    page.wait_for_selector('text=across.direction')
    turn_to(view, 'directions')
    after(lambda: page.get_by_label('amount of direction across').press('PageUp'))
    assert view.tiles(CAPTION).count() == 2
    view.shot('directions')
    assert comes_out_again(save())
    turn_to(view, 'restore')
    canvas = page.locator('.nvae-canvas')
    canvas.focus()
    after(lambda: page.keyboard.press(' '))
    assert view.tiles(CAPTION).count() == 4
    view.shot('restore')
    assert comes_out_again(save())
    turn_to(view, 'who knows what')
    page.wait_for_selector('.nvae-knowledge .nvae-chance')
    view.shot('knowledge')
    turn_to(view, 'map')
    page.locator('.nvae-thumb').first.press('Enter')
    page.wait_for_function("() => document.querySelector('.nvae-board').dataset.tab === '0'")
    view.settled()
    assert not view.ours()
