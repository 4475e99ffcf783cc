"Whether a board stands on a screen as it should, and its letters on their ground"
import re

DESKS = (1280, 720), (1024, 768)
PHONE = 390, 844
USUAL = dict(width=1280, height=1300)

OUTSIDE = """selectors => selectors.filter(selector => {
  const box = document.querySelector(selector)?.getBoundingClientRect()
  return !box || !box.width || box.top < 0 || box.left < 0 || box.bottom > innerHeight || box.right > innerWidth
})"""
CUT = """() => {
  const isClipping = style => style.overflowX !== 'visible' && style.display !== 'contents'  // which has no box
  const clips = e => e && (isClipping(getComputedStyle(e)) ? e : clips(e.parentElement))
  const right = e => e ? e.getBoundingClientRect().right : innerWidth
  const all = [...document.querySelectorAll('.nvae-board :is(button, input, select, img, p, text, .nvae-tile)')]
  const seen = all.filter(e => e.checkVisibility({visibilityProperty: true}) && e.getBoundingClientRect().width > 2)
  const cut = e => e.getBoundingClientRect().right > Math.min(innerWidth, right(clips(e.parentElement))) + 1
  return seen.filter(cut).map(e => e.outerHTML.slice(0, 120))
}"""

CLIPPED = """() => [...document.querySelectorAll('.nvae-board input[placeholder]')].filter(e => {
  if (!e.checkVisibility({visibilityProperty: true})) return false
  const pen = document.createElement('canvas').getContext('2d')
  const {font, paddingLeft, paddingRight} = getComputedStyle(e)
  pen.font = font
  const room = e.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight)
  return pen.measureText(e.placeholder).width > room
}).map(e => e.placeholder)"""


def check_sizes(view, *needed):
    "On a desk all of `needed` is to be seen without scrolling; on a phone the first button is, and nothing is cut"
    page = view.page
    for width, height in (*DESKS, PHONE):
        page.set_viewport_size(dict(width=width, height=height))
        page.wait_for_timeout(300)
        view.shot(f'{width}')
        assert page.evaluate('document.documentElement.scrollWidth') <= width
        cut = page.evaluate(CUT)
        assert cut == [], (cut, width, height)
        assert page.evaluate(CLIPPED) == [], width
        page.evaluate('scrollTo(0, 0)')
        on_desk = ['.nvae-said', *needed] if width > PHONE[0] else []
        hidden = page.evaluate(OUTSIDE, ['.nvae-primary button', *on_desk])
        assert hidden == [], (hidden, width, height)
    page.set_viewport_size(USUAL)


def check_long_rail(view):
    "*Save* stays within reach on a small desk when the rail is longer than it"
    page = view.page
    page.set_viewport_size(dict(zip(('width', 'height'), DESKS[0])))
    view.unfold()
    page.wait_for_timeout(300)
    assert page.locator('.nvae-rail').evaluate('rail => rail.scrollHeight - rail.clientHeight') > 50
    view.shot('long-rail')
    assert page.evaluate(OUTSIDE, ['.nvae-acts']) == []
    view.press('More')
    page.set_viewport_size(USUAL)


def contrast(text, ground, below):
    "Of two colours as the browser says them (WCAG 2.2), each seen on what is below it"
    ground = _over(_rgba(ground), _rgba(below))
    lights = sorted(map(_luminance, (_over(_rgba(text), ground), ground)))
    return (lights[1] + .05) / (lights[0] + .05)


def _rgba(colour):
    numbers = [float(number) for number in re.findall(r'[\d.]+', colour)]
    return [*numbers, 1][:4]


def _over(top, ground):
    alpha = top[3]
    return [*(alpha * a + (1 - alpha) * b for a, b in zip(top[:3], ground)), 1]


def _luminance(colour):
    "Relative luminance of sRGB"
    shares = [value / 255 for value in colour[:3]]
    linear = [s / 12.92 if s <= .04045 else ((s + .055) / 1.055) ** 2.4 for s in shares]
    return .2126 * linear[0] + .7152 * linear[1] + .0722 * linear[2]
