"Every board for everyone: what axe-core finds in both themes, names and states of controls, no motion unasked"
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from hands import wear

from nvae.boards.server import BOARDS

# What is grave in the board, or in the whole page where the board is one; pictures are no text
AXE = """async root => {
  const found = await axe.run(root, {resultTypes: ['violations'], preload: false})
  const grave = found.violations.filter(v => ['serious', 'critical'].includes(v.impact))
  const told = nodes => nodes.slice(0, 4).map(n => `${n.target} ${n.html.slice(0, 200)}`).join(' | ')
  return grave.map(v => `${v.id}: ${told(v.nodes)}`)
}"""
# The controls that are to be seen, each as (role, name, state), as the browser tells them to a screen reader
TOLD = """board => {
  const kinds = 'button, input, select, textarea, [role=slider], [role=button], [role=tab], [contenteditable=true]'
  const seen = [...board.querySelectorAll(kinds)].filter(e => e.offsetParent !== null && e.type !== 'file')
  return seen.map(e => {
    const words = [e.getAttribute('aria-label'), e.labels?.[0]?.textContent, e.textContent, e.title, e.placeholder]
    const named = words.map(word => word?.trim()).find(word => /[\\p{L}\\p{N}]/u.test(word ?? ''))
    return [e.getAttribute('role') ?? e.localName, named ?? '', e.outerHTML.slice(0, 160)]
  })
}"""
MOVES = """() => {
  const moves = a => a.playState === 'running' && a.effect.getComputedTiming().duration  // 0: only appears late
  return document.getAnimations().filter(moves).map(a => String(a.animationName))
}"""
TITLES = dict(sample='Sample', cherry='Cherry-pick', explore='Explore', interpolate='Interpolate', step='Step through')


def unfolded(view):
    "The board with all that can be unfolded"
    board = view.page.locator('.nvae-board')
    for toggle in reversed(board.locator('[class*=nvae-for-]').all()):  # a panel of the header may lie over the rail
        if 'mod-active' not in toggle.get_attribute('class'): toggle.click()
    return board


def grave(view, theme):
    "What axe-core finds serious or critical, in one theme"
    if view.is_lab: wear(view.page, theme)
    else: view.page.emulate_media(color_scheme=theme)
    root = '.nvae-board' if view.is_lab else 'html'
    return view.page.locator(root).first.evaluate(AXE)


def check_is_accessible(view):
    "A board as it is, unfolded, and each of its tabs; names that are told apart, states that are told"
    view.page.evaluate(AXE_SCRIPT)
    whole = unfolded(view)
    view.shot('unfolded')
    assert [grave(view, theme) for theme in ('dark', 'light')] == [[], []]
    told = whole.evaluate(TOLD)
    assert [where for _, named, where in told if not named] == []
    inputs = [(role, named) for role, named, _ in told if role in ('input', 'select', 'slider')]
    assert sorted(set(inputs)) == sorted(inputs)
    for toggle in whole.locator('.widget-toggle-button:visible').all():
        is_on = str('mod-active' in toggle.get_attribute('class')).lower()
        assert is_on in (toggle.get_attribute('aria-pressed'), toggle.get_attribute('aria-expanded'))
    whole.locator('.nvae-for-code').focus()
    for name in 'code', 'menu', 'keys':
        whole.locator(f'.nvae-for-{name}').press('Enter')
    for tab in whole.locator('.nvae-tab').all():
        tab.click()
        view.settled()
        assert grave(view, 'light') == []


@pytest.mark.parametrize('name', BOARDS)
def test_in_jupyterlab(lab, name):
    check_is_accessible(lab(name))


@pytest.mark.parametrize('name', BOARDS)
def test_as_an_application(app, name):
    view = app(name, theme='system')
    view.page.wait_for_function('title => document.title === title', arg=f'nvae · {TITLES[name]}')
    assert view.page.locator('[role=main]').count() == 1
    check_is_accessible(view)
    view.page.emulate_media(reduced_motion='reduce')
    assert view.page.evaluate(MOVES) == []
    assert not view.ours()
