"Stepping through an image's way, as somebody would who gives a lecture"
from hands import face

TOLD = 'text => document.querySelector(".nvae-told .nvae-status")?.textContent.startsWith(text)'


def test_step(board, home):
    view = board('step')
    page, told = view.page, view.page.locator('.nvae-told .nvae-status')
    def at(step): page.wait_for_function(TOLD, arg=f'{step} of ')
    def key(name): page.keyboard.press(name)
    at(1)
    last = int(told.inner_text().split(' · ')[0].split()[-1])
    handle = page.locator('.nvae-step .noUi-handle').last
    for _ in range(2): view.slide(handle)
    at(3)
    view.tiles('step images').click()
    at(4)
    key('ArrowRight')
    at(5)
    key('ArrowLeft')
    at(4)
    key('End')
    at(last)
    view.press('◂')
    view.press('◂')
    at(last - 2)
    view.shot('posterior')
    view.press('▸')
    at(last - 1)
    view.tiles('step images').focus()
    key('Home')
    at(1)
    page.locator('.nvae-board .widget-play button').first.click()
    at(3)
    page.locator('.nvae-board .widget-play button').first.click()
    view.drop(*face(7))
    page.wait_for_selector('text=64×64 pixels, resized to 32×32')
    view.settled()
    view.save(home / 'pictures', 'step-*.png')
    view.shot('dropped')
    view.drop('notes.txt', b'not an image')
    assert "notes.txt can't be read as an image" in view.error()
    assert not view.ours()
