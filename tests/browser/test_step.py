"Stepping through an image's way, as somebody would who gives a lecture"
from hands import face, kernels, wear
from sizes import check_sizes, contrast

TOLD = 'step => +document.querySelector(".nvae-steps").dataset.step === step - 1'
LETTERS = """() => {
  const written = node => node.nodeType === Node.TEXT_NODE && node.textContent.trim()
  const all = [...document.querySelectorAll('.nvae-steps *')]
  const seen = all.filter(e => [...e.childNodes].some(written) && e.checkVisibility({visibilityProperty: true}))
  return seen.map(e => [parseFloat(getComputedStyle(e).fontSize), e.textContent])
}"""
OVERLAP = """() => {
  const boxes = [...document.querySelectorAll('.nvae-drawing text')].map(e => e.getBoundingClientRect())
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom
  return boxes.some((a, i) => boxes.some((b, j) => i < j && meet(a, b)))
}"""

COLOURS = """() => {
  const one = (selector, what) => document.querySelectorAll(`.nvae-drawing ${selector}`).length
    ? getComputedStyle(document.querySelector(`.nvae-drawing ${selector}`))[what] : null
  const pairs = [
    ['.nvae-word:not(.nvae-lit)', '.nvae-part:not(.nvae-lit)'], ['.nvae-word.nvae-lit', '.nvae-left.nvae-lit'],
    ['.nvae-word.nvae-lit', '.nvae-right.nvae-lit'], ['.nvae-group-number.nvae-lit', '.nvae-latent.nvae-lit'],
  ]
  const paper = getComputedStyle(document.querySelector('.nvae-board')).getPropertyValue('--paper')
  const probe = document.body.appendChild(document.createElement('i'))
  probe.style.color = paper
  const page = getComputedStyle(probe).color
  probe.remove()
  const inside = pairs.map(([text, box]) => [one(text, 'fill'), one(box, 'fill'), page])
  return [...inside, [one('.nvae-nats', 'fill'), page, page]]
}"""


class Hand:
    "What a person does on this board"
    def __init__(self, view):
        self.view, self.page = view, view.page
        self.stage = self.page.locator('.nvae-steps')
        self.told = self.page.locator('.nvae-told')

    def at(self, step): self.page.wait_for_function(TOLD, arg=step)

    def key(self, name): self.page.keyboard.press(name)

    def press(self, name): self.stage.get_by_role('button', name=name).click()


def test_step(board, home):
    view = board('step')
    hand, page = Hand(view), view.page
    at, key = hand.at, hand.key
    at(1)
    slider = page.get_by_label('step', exact=True)
    last = int(slider.get_attribute('max')) + 1
    slider.focus()
    key('ArrowRight')
    at(2)
    page.locator('.nvae-views').click()
    at(3)
    key('ArrowRight')
    at(4)
    key('ArrowLeft')
    at(3)
    key('End')
    at(last)
    hand.press('the step before')
    hand.press('the step before')
    at(last - 2)
    hand.press('the next step')
    at(last - 1)
    view.shot('posterior')
    hand.press('the first step')
    at(1)
    boxes_lead(hand)
    can_be_read(hand)
    if not view.is_lab: check_sizes(view, '.nvae-told', '.nvae-towers', '.nvae-views', '.nvae-play')
    plays(hand)
    view.drop(*face(7))
    page.wait_for_selector('text=64×64 pixels, resized to 32×32')
    view.settled()
    view.save(home / 'pictures', 'step-*.png')
    view.shot('dropped')
    presented(hand)
    view.drop('notes.txt', b'not an image')
    assert "notes.txt can't be read as an image" in view.error()
    assert not view.ours()


def boxes_lead(hand):
    "A box of the towers is a button: by a click, and by the keyboard; while Python does nothing at all"
    [kernel] = kernels(hand.view.server)
    kernel.suspend()
    try:
        hand.press('top-down: posterior of group 2')
        box = hand.stage.get_by_role('button', name='top-down: posterior of group 2')
        assert 'posterior of group 2' in hand.told.inner_text()
        assert box.get_attribute('aria-current') == 'step' and box.get_attribute('aria-pressed') == 'true'
        box.focus()
        hand.key('ArrowRight')
        assert 'prior of group 3' in hand.told.inner_text()
        current = hand.page.evaluate('document.activeElement.getAttribute("aria-label")')
        assert current.startswith('top-down: prior of group 3')
    finally:
        kernel.resume()
    numbers = hand.stage.locator('.nvae-nats').all_text_contents()
    assert len(numbers) == 4 and numbers[-1].startswith('Σ')  # three groups are known, and their sum
    assert abs(sum(map(float, numbers[:-1])) - float(numbers[-1][2:])) < .2


def can_be_read(hand):
    "Letters in the drawing, lit and unlit, on their boxes and beside the bars"
    hand.press('top-down: posterior of group 2')
    for theme in ('dark', 'light') if hand.view.is_lab else ('',):
        if theme: wear(hand.page, theme)
        pairs = hand.page.evaluate(COLOURS)
        assert [pair for pair in pairs if None in pair or contrast(*pair) < 4.5] == []


def plays(hand):
    "One key plays and pauses"
    hand.press('the first step')
    hand.at(1)
    hand.press('play from here')
    hand.at(2)
    hand.press('pause')
    assert hand.stage.get_by_role('button', name='play from here').get_attribute('aria-pressed') == 'false'
    hand.page.wait_for_timeout(1800)
    hand.at(2)
    hand.page.get_by_label('speed of playing').select_option('4×')
    hand.press('play from here')
    hand.at(3)
    hand.page.get_by_label('speed of playing').select_option('½×') # while it plays
    hand.press('pause')
    speed = hand.page.get_by_label('speed of playing')
    assert speed.locator('option:checked').inner_text() == '½×' and speed.input_value() == '3000'
    speed.select_option('1×')


def presented(hand):
    "The whole screen, in letters that the last row can read; Escape leaves"
    page = hand.page
    page.set_viewport_size(dict(width=1280, height=720))
    hand.press('Present')
    page.wait_for_function('document.fullscreenElement?.classList.contains("nvae-steps")')
    hand.press('the last step')
    box = hand.stage.bounding_box()
    assert (box['x'], box['y'], box['width'], box['height']) == (0, 0, 1280, 720)
    small = [letters for letters in page.evaluate(LETTERS) if letters[0] < 16]
    assert not small
    assert not page.evaluate(OVERLAP)
    hand.view.shot('presented')
    hand.press('the step before')
    hand.key('Escape')
    page.wait_for_function('!document.fullscreenElement')
    assert 'nvae-presented' not in hand.stage.get_attribute('class')
