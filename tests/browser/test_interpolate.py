"Interpolating, used as a person would, between images that come from outside"
from hands import comes_out_again, face, kernels, until
from sizes import check_sizes

NEWER = 'serial => +document.querySelector(".nvae-way").dataset.serial > serial'
FRAME = 'frame => +document.querySelector(".nvae-way").dataset.frame === frame'
MOVED = 'frame => +document.querySelector(".nvae-way").dataset.frame !== frame'


class Hand:
    "What a person does on this board"
    def __init__(self, view):
        self.view, self.page = view, view.page
        self.way = self.page.locator('.nvae-way')
        self.slider = self.page.get_by_label('position from A to B')
        self.strips = self.way.get_by_role('radio')

    def after(self, act):
        "Do something, and wait for the pictures that it leads to"
        before = int(self.way.get_attribute('data-serial'))
        act()
        self.page.wait_for_function(NEWER, arg=before)
        self.view.settled()

    def frame(self): return int(self.way.get_attribute('data-frame'))

    def at(self, frame): self.page.wait_for_function(FRAME, arg=frame)

    def shown(self): return self.way.locator('.nvae-large').evaluate('e => e.style.backgroundPosition')


def test_interpolate(board, home):
    view = board('interpolate')
    hand, page = Hand(view), view.page
    assert hand.strips.count() == 4
    assert hand.way.get_by_role('radio', checked=True).locator('xpath=..').inner_text() == 'noise, spherical'
    view.shot('samples')
    hand.after(lambda: view.drop(*face(7)))
    hand.after(lambda: view.drop(*face(12), place=1))
    needed = '.nvae-large', '.nvae-strips', '.nvae-way .nvae-steer', '.nvae-place .nvae-tile'
    if not view.is_lab: check_sizes(view, *needed)
    follows_without_the_kernel(hand)
    plays(hand)
    plays_calmly(hand)
    hand.after(hand.strips.first.check)
    assert page.get_by_text('B not reached').count() == 0
    saved = view.save(home / 'pictures', 'interpolate-*.png')
    until(saved.with_suffix('.webp').exists)
    assert comes_out_again(saved)
    hand.after(page.locator('.nvae-group').first.click)
    assert page.locator('.nvae-end').inner_text() == 'B not reached'
    view.shot('not-reached')
    hand.after(lambda: view.press('A ⇄ B'))
    def more_steps():
        page.get_by_label('steps').first.fill('30')
        page.keyboard.press('Enter')
    hand.after(more_steps)
    view.shot('long')
    box = page.get_by_placeholder('a sample; or pick 1').first
    box.fill('gone.png')
    box.press('Enter')
    assert 'there is no image gone.png' in view.error()
    view.shot('error')
    assert not view.ours()


def follows_without_the_kernel(hand):
    "The slider's image is there while Python does nothing at all"
    [kernel] = kernels(hand.view.server)
    hand.slider.focus()
    hand.page.keyboard.press('Home')
    hand.at(0)
    seen = {hand.shown()}
    kernel.suspend()
    try:
        for frame in 1, 2, 3:
            hand.page.keyboard.press('ArrowRight')
            hand.at(frame)
            seen.add(hand.shown())
    finally:
        kernel.resume()
    assert len(seen) == 4
    hand.page.keyboard.press('End')
    assert hand.slider.get_attribute('aria-valuetext') == '1.00 of the way from A to B'


def plays(hand):
    "The film goes on, and stops where it is told to"
    before = hand.frame()
    hand.page.get_by_role('button', name='play the film').click()
    hand.page.wait_for_function(MOVED, arg=before)
    pause = hand.page.get_by_role('button', name='pause the film')
    assert pause.get_attribute('aria-pressed') == 'true'
    pause.click()
    stopped = hand.frame()
    hand.page.wait_for_timeout(300)
    assert hand.frame() == stopped


def plays_calmly(hand):
    "For somebody who wants no motion Play shows step after step, not a film"
    page = hand.page
    page.emulate_media(reduced_motion='reduce')
    hand.slider.focus()
    page.keyboard.press('Home')
    hand.at(0)
    page.get_by_role('button', name='play the film').click()
    page.wait_for_function(MOVED, arg=0)
    assert hand.frame() == 5  # of 36 frames, seven steps
    page.get_by_role('button', name='pause the film').click()
    page.emulate_media(reduced_motion='no-preference')
