"Sampling, used as a person would"
from hands import comes_out_again
from sizes import CUT, check_sizes

from nvae.sampling.provenance import like

CAPTION = 'sample images'


def focused(page, label):
    "Waits until the keys go to the tile of this name: a dialog gives the focus back after it has closed"
    page.wait_for_function('label => document.activeElement.getAttribute("aria-label") === label', arg=label)


def test_sample(board, home):
    view = board('sample')
    page, tiles = view.page, view.tiles(CAPTION)
    def after(act): view.after(CAPTION, act)
    assert tiles.count() == 9
    if not view.is_lab: check_sizes(view, '.nvae-tiles')
    view.shot('samples')
    after(lambda: view.slide(page.locator('.nvae-board .noUi-handle').first))
    assert page.locator('.nvae-board .widget-readout').first.inner_text() == '0.75'
    after(lambda: view.press('New'))
    assert comes_out_again(view.save(home / 'pictures', 'sample-seed1*.png'))
    after(lambda: view.press('◂ Back'))
    after(lambda: view.press('Forward ▸'))
    after(lambda: view.press('◂ Back'))
    tiles.nth(4).click()
    page.wait_for_selector('dialog[open]')
    view.shot('zoom')
    page.keyboard.press('Escape')
    page.wait_for_selector('dialog[open]', state='detached')
    page.keyboard.press('ArrowLeft')
    focused(page, 'image 4')
    page.keyboard.press('z')
    page.keyboard.press('ArrowDown')
    assert page.locator('dialog[open] p').inner_text() == 'image 7'
    page.get_by_role('button', name='Close').click()
    focused(page, 'image 7')
    after(lambda: page.keyboard.press('n'))
    after(lambda: page.keyboard.press('b'))
    view.unfold()
    after(lambda: page.get_by_label('pixels').select_option('sample'))
    after(lambda: page.get_by_label('pixels').select_option('mean'))
    after(lambda: view.press('temperatures'))
    assert tiles.count() == 5 * 9
    view.shot('temperatures')
    after(lambda: view.press('BatchNorm'))
    view.shot('batchnorm')
    after(lambda: view.press('samples'))
    after(lambda: view.press('per scale'))
    after(lambda: view.slide(page.locator('.nvae-board .noUi-handle').nth(1), 'ArrowLeft'))
    view.shot('per-scale')
    saved = like(view.save(home / 'pictures', 'sample-seed0*.png'))
    assert saved.recipes[0].temperature == (.75, .7) and saved.images.shape == (9, 3, 32, 32)
    assert not view.ours()


def test_handed_over(board, home):
    "An image goes on in Explore, and two of them in Interpolate; ◂ leads back each time"
    view = board('sample')
    page, tiles = view.page, view.tiles(CAPTION)
    def hand(image, word, kind):
        tiles.nth(image).hover()
        tiles.nth(image).get_by_text(word, exact=True).click()
        page.wait_for_selector(f'.nvae-host > .nvae-{kind} .nvae-calm')
        view.settled()
        assert tiles.count() and tiles.first.is_hidden()
    hand(4, 'explore', 'explore')
    assert page.get_by_placeholder('a sample; or pick 1').first.input_value() == 'sample 5 of seed 0'
    assert view.tiles('explore images').first.is_visible()
    assert page.evaluate(CUT) == []
    view.shot('explored')
    view.press('◂ Sample')
    tiles.first.wait_for()
    hand(1, 'as A', 'interpolate')
    view.press('◂ Sample')
    tiles.nth(8).click()
    page.locator('dialog[open]').get_by_role('button', name='as B').click()
    page.wait_for_selector('dialog[open]', state='detached')
    page.wait_for_selector('.nvae-host > .nvae-interpolate .nvae-calm')
    view.settled()
    ends = page.locator('.nvae-interpolate').get_by_placeholder('a sample; or pick 1').all()
    assert [end.input_value() for end in ends] == ['sample 2 of seed 0', 'sample 9 of seed 0']
    view.shot('interpolated')
    view.press('◂ Sample')
    tiles.first.wait_for()
    assert not view.ours()


def test_models(lab, home, project):
    "Another model without starting anew; a file that isn't there, and what is no model"
    view = lab('sample')
    page = view.page
    menu, path = page.get_by_label('model', exact=True), page.get_by_placeholder('or the path')
    view.unfold('what else there is')
    view.after(CAPTION, lambda: menu.select_option('small'))
    page.wait_for_selector('text=small: 16×16, RGB, 2 + 2 groups in 2 scales, on CPU')
    view.after(CAPTION, lambda: view.press('look for new models, and load this one again'))
    def asked_for(file):
        path.fill(str(file))
        path.press('Enter')
    asked_for('nowhere.model')
    assert 'there is no file nowhere.model' in view.error()
    view.shot('error')
    broken = project / 'broken.model'
    broken.write_bytes(b'not a model')
    asked_for(broken)
    page.wait_for_selector('.nvae-error:has-text("broken.model")')
    view.after(CAPTION, lambda: menu.select_option('demo32'))
    assert page.locator('.nvae-error').count() == 0
    assert not view.ours()
