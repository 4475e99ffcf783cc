"Cherry-picking, used as a person would: by keys, by clicks, and with a kernel that dies"
from hands import kernels, picks_of, run, until
from sizes import check_sizes

from nvae.cli.main import main
from nvae.sampling.provenance import read_picks

BATCH, TRAY = 'cherry images', 'tray of picks'
TWO_MARKED = """() => document.querySelectorAll('[aria-label="cherry images"] .nvae-marked').length === 2"""
KERNEL_GONE = """() => {
  const board = document.querySelector('.nvae-board')
  return getComputedStyle(board, '::before').content.includes('The kernel is gone')
}"""


def the_first_key(page, key):
    "An application has the focus where the first key belongs"
    page.wait_for_function("() => document.activeElement.closest('.nvae-grid')")
    page.keyboard.press(key)


def picked(view, home):
    "Five picks by a click and by keys, one of them undone, and the others in another order"
    page, batch, tray = view.page, view.tiles(BATCH), view.tiles(TRAY)
    def there(*picks): until(lambda: picks_of(home) == list(picks))
    if view.is_lab: batch.nth(2).click()
    else: the_first_key(page, '3')
    there((0, 2))
    page.keyboard.press('5')
    there((0, 2), (0, 4))
    view.after(BATCH, lambda: page.keyboard.press('0'))
    for key in '194': page.keyboard.press(key)
    there((0, 2), (0, 4), (1, 0), (1, 8), (1, 3))
    view.shot('picked')
    page.keyboard.press('u')
    there((0, 2), (0, 4), (1, 0), (1, 8))
    view.press('Undo')
    there((0, 2), (0, 4), (1, 0))
    batch.nth(0).focus()
    view.after(BATCH, lambda: page.keyboard.press('ArrowLeft'))
    page.wait_for_function(TWO_MARKED)
    tray.nth(2).drag_to(tray.nth(0))
    there((1, 0), (0, 2), (0, 4))
    tray.nth(1).hover()
    tops = tray.nth(1).locator('.nvae-offers > *').evaluate_all('all => all.map(e => e.getBoundingClientRect().top)')
    assert len(tops) == 3 and len(set(tops)) == 1 # ◂ ✕ ▸ in one row
    tray.nth(0).focus()
    page.keyboard.press('Shift+ArrowRight')
    there((0, 2), (1, 0), (0, 4))
    view.shot('ordered')
    page.keyboard.press('Delete')
    there((0, 2), (0, 4))
    page.keyboard.press('u')
    there((0, 2), (1, 0), (0, 4))
    view.press('Clear')
    there()
    view.press('Undo')
    there((0, 2), (1, 0), (0, 4))


def stay_in_the_board(view):
    "JupyterLab's shortcuts, such as the deletion of a cell by d d, mean nothing there"
    cells = view.page.locator('.jp-Cell').count()
    view.tiles(TRAY).nth(0).focus()
    for key in 'ddaxmb': view.page.keyboard.press(key)
    assert view.page.locator('.jp-Cell').count() == cells and view.page.locator('.jp-Dialog').count() == 0


def killed(view, home):
    "The kernel dies while a key is pressed; opened again, everything is there"
    page, [kernel] = view.page, kernels(view.server)
    view.tiles(BATCH).nth(6).focus()
    page.keyboard.press('7')
    kernel.kill()
    kernel.wait()
    kept = picks_of(home)
    assert kept in ([(0, 2), (1, 0), (0, 4)], [(0, 2), (1, 0), (0, 4), (0, 6)])
    if view.is_lab:
        page.locator('.jp-Dialog').get_by_role('button', name='Ok').click()
        run(view)
    else:
        page.wait_for_function(KERNEL_GONE)
        page.wait_for_function("() => document.querySelector('.nvae-body').inert")
        view.shot('gone')
        page.reload()
        view.settled()
    view.problems.clear()
    assert view.tiles(TRAY).count() == len(kept) and picks_of(home) == kept
    return kept


def test_cherry(board, home, tmp_path):
    view = board('cherry')
    picked(view, home)
    if not view.is_lab: check_sizes(view, '.nvae-tiles', '.nvae-tray')
    stay_in_the_board(view)
    kept = killed(view, home)
    view.press('Check')
    view.page.wait_for_selector(f'text={len(kept)} picks made again, bit for bit')
    view.after(BATCH, lambda: view.press('Next ▸'))
    view.after(BATCH, lambda: view.press('◂ Back'))
    saved = view.save(home / 'pictures', 'picks*.png')
    until(saved.with_suffix('.json').exists)
    view.shot('reopened')
    for file in saved, saved.with_suffix('.json'):
        again = tmp_path / f'{file.suffix[1:]}.png'
        assert main(['sample', '--like', str(file), '--out', str(again)]) == 0
        assert again.read_bytes() == saved.read_bytes()
    assert len(read_picks(saved.with_suffix('.json'))['picks']) == len(kept)
    assert not view.ours()
