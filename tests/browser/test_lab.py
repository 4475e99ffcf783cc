"The boards' notebooks in JupyterLab, used as a person would"
import json
import time


def opened(lab, open_page, name):
    "The notebook of a board, run from top to bottom"
    view = open_page(f'lab-{lab.theme}-{name}')
    page = view.page
    page.goto(lab.address.replace('/lab?', f'/lab/tree/nbs/{name}.ipynb?reset&'))
    page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.context?.isReady")
    page.wait_for_function("""() => { const s = window.jupyterapp.shell.currentWidget.sessionContext, k = s.session?.kernel
                                      return s.isReady && k?.connectionStatus === 'connected' && k.status === 'idle' }""")
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
    page.wait_for_selector('.nvae-board .nvae-calm', timeout=120_000)
    return view


def press(page, text): page.locator('.nvae-board').get_by_role('button', name=text, exact=True).click()


def settled(page):
    page.wait_for_selector('.nvae-board .nvae-calm', timeout=60_000)


def serial(page): return int(page.locator('.nvae-grid').first.get_attribute('data-serial'))


def after(page, act):
    "Do something, and wait for the picture that it leads to"
    before = serial(page)
    act()
    page.wait_for_function('n => +document.querySelector(".nvae-grid").dataset.serial > n', arg=before)
    settled(page)


def picks_of(project):
    files = list((project / 'runs/faces/picks').glob('*.json'))
    return [(p['recipe']['seed'], p['recipe']['index']) for p in json.loads(files[0].read_text())['picks']] if files else []


def until(truth, seconds=20):
    "Wait for something on the disk"
    end = time.monotonic() + seconds
    while not truth() and time.monotonic() < end: time.sleep(.05)
    assert truth()


def test_sample(lab, open_page, project):
    view = opened(lab, open_page, 'sample')
    page = view.page
    view.shot('samples')
    assert page.locator('.nvae-tile').count() == 9
    handle = page.locator('.nvae-board .noUi-handle').first
    def slide(): handle.focus(); page.keyboard.press('ArrowRight')
    after(page, slide)
    assert page.locator('.nvae-board .widget-readout').first.inner_text() == '0.75'
    after(page, lambda: press(page, 'New'))
    view.shot('warmer')
    after(page, lambda: press(page, '◂ Back'))
    page.locator('.nvae-tile').nth(4).click()
    page.wait_for_selector('dialog[open]')
    view.shot('zoom')
    page.keyboard.press('Escape')
    page.wait_for_selector('dialog[open]', state='detached')
    page.keyboard.press('ArrowLeft')
    assert page.evaluate('document.activeElement.getAttribute("aria-label")') == 'image 4'
    after(page, lambda: press(page, 'temperatures'))
    view.shot('temperatures')
    after(page, lambda: press(page, 'BatchNorm'))
    view.shot('batchnorm')
    press(page, 'per scale')
    settled(page)
    view.shot('per-scale')
    press(page, 'Save')
    until(lambda: list((project / 'runs/faces/pictures').glob('sample-*.png')))
    path = page.get_by_placeholder('or the path')
    path.fill('nowhere.model')
    path.press('Enter')
    page.wait_for_selector('.nvae-error')
    view.shot('error')
    assert 'there is no file' in page.locator('.nvae-error').inner_text()
    assert not view.problems


def test_cherry(lab, open_page, project):
    for file in (project / 'runs/faces').glob('picks/*'): file.unlink()
    view = opened(lab, open_page, 'cherry')
    page = view.page
    batch, tray = page.locator('.nvae-grid').first, page.locator('.nvae-grid').nth(1)
    batch.locator('.nvae-tile').nth(2).click()
    until(lambda: picks_of(project) == [(0, 2)])
    page.keyboard.press('5')
    until(lambda: picks_of(project) == [(0, 2), (0, 4)])
    after(page, lambda: page.keyboard.press('0'))
    page.keyboard.press('1')
    page.keyboard.press('9')
    until(lambda: picks_of(project) == [(0, 2), (0, 4), (1, 0), (1, 8)])
    view.shot('picked')
    page.keyboard.press('u')
    until(lambda: len(picks_of(project)) == 3)
    after(page, lambda: page.keyboard.press('ArrowLeft'))
    assert batch.locator('.nvae-marked').count() == 2
    tray.locator('.nvae-tile').nth(2).drag_to(tray.locator('.nvae-tile').nth(0))
    until(lambda: picks_of(project) == [(1, 0), (0, 2), (0, 4)])
    tray.locator('.nvae-tile').nth(0).focus()
    page.keyboard.press('Shift+ArrowRight')
    until(lambda: picks_of(project) == [(0, 2), (1, 0), (0, 4)])
    view.shot('ordered')
    cells = page.locator('.jp-Cell').count()
    batch.locator('.nvae-tile').nth(0).focus()
    for key in 'dd', 'a', 'x', 'm': page.keyboard.press(key[0]); page.keyboard.press(key[-1])
    assert page.locator('.jp-Cell').count() == cells and page.locator('.jp-Dialog').count() == 0
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.shutdown()")
    view.shot('killed')
    assert picks_of(project) == [(0, 2), (1, 0), (0, 4)]
    again = opened(lab, open_page, 'cherry')
    again.name += '-again'
    assert again.page.locator('.nvae-grid').nth(1).locator('.nvae-tile').count() == 3
    press(again.page, 'Check')
    again.page.wait_for_selector('text=3 picks made again, bit for bit')
    press(again.page, 'Save')
    until(lambda: (project / 'runs/faces/pictures/picks.json').exists())
    again.shot('reopened')
    assert not again.problems
