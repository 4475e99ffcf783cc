"""What a reader of the site meets: every page, both themes, a phone's width, search, formulae, copying; screenshots
under test-output/site"""
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from built import OUTPUT, PAGES

KINDS = {'front': 'index.html',
         'chapter': 'learning/losses.html',
         'pictures': 'using/explore.html',
         'board': 'workbench/sample.html',
         'gallery': 'reference/gallery.html',
         'commands': 'reference/commands.html',
         'configs': 'reference/configs.html',
         'keys': 'reference/keys.html',
         'modules': 'api/index.html',
         'module': 'api/sampling.explore.html',
         'search': 'search.html',
         'index': 'genindex.html'}
AXE = """async () => {
  const found = await axe.run(document, {resultTypes: ['violations'], preload: false})
  const grave = found.violations.filter(v => ['serious', 'critical'].includes(v.impact))
  const told = nodes => nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' | ')
  return grave.map(v => `${v.id}: ${told(v.nodes)}`)
}"""
# Code has thousands of coloured words; axe looks at the contrast of each, for half a minute a page. One word of each
# colour and background says the same.
ONE_OF_EACH = """() => {
  const words = [...document.querySelectorAll('.highlight pre span')].filter(e => e.textContent.trim())
  const kinds = words.map(e => {
    const {color, backgroundColor, fontSize, fontWeight, opacity} = getComputedStyle(e)
    const block = e.closest('.highlight').parentElement.className
    return [block, color, backgroundColor, fontSize, fontWeight, opacity].join()
  })
  words.forEach((e, i) => { if (kinds.indexOf(kinds[i]) < i) e.replaceWith(...e.childNodes) })
  document.querySelectorAll('.highlight pre').forEach(e => e.normalize())
}"""


def violations(page):
    "What axe-core finds serious or critical"
    page.evaluate(ONE_OF_EACH)
    page.evaluate(AXE_SCRIPT)
    return page.evaluate(AXE)


@pytest.mark.parametrize('path', PAGES)
def test_page_opens_quietly_and_is_accessible(reader, path):
    visitor = reader()
    page = visitor.open(path)
    assert page.title() and not visitor.problems
    assert page.locator('mjx-merror').count() == 0
    assert not violations(page)


@pytest.mark.parametrize('theme', ['light', 'dark'])
@pytest.mark.parametrize('kind', KINDS)
def test_kind_of_page_in_both_themes(reader, kind, theme):
    visitor = reader(theme)
    page = visitor.open(KINDS[kind])
    OUTPUT.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=OUTPUT / f'{kind}-{theme}.png')
    assert not visitor.problems
    assert theme == 'light' or not violations(page)  # in light colours every page was looked at above


def test_a_single_pale_word_of_code_is_a_violation(reader):
    page = reader().open('using/explore.html')
    page.locator('.highlight pre span.n:visible').last.evaluate("e => e.style.color = '#ddd'")
    assert any('color-contrast' in found for found in violations(page))


@pytest.mark.parametrize('kind', KINDS)
def test_phone_needs_no_scrolling_sideways(reader, kind):
    page = reader('light', 360).open(KINDS[kind])
    page.screenshot(path=OUTPUT / f'{kind}-narrow.png')
    assert page.evaluate('document.documentElement.scrollWidth') <= 360


@pytest.mark.parametrize('served', [False, True], ids=['folder', 'server'])
@pytest.mark.parametrize('words, expected', [('image_grid', 'api/plots.pictures.html'),
                                             ('KL balancing', 'learning/losses.html'),
                                             ('n_groups', 'reference/keys.html')])
def test_search_finds(reader, served, words, expected):
    visitor = reader(served=served)
    page = visitor.open('index.html')
    page.locator('input[name=q]').first.fill(words)
    page.keyboard.press('Enter')
    page.wait_for_selector('#search-results li a')
    found = page.locator('#search-results li a').evaluate_all('links => links.map(a => a.href)')
    assert any(expected in address for address in found) and not visitor.problems
    assert page.goto(next(a for a in found if expected in a)) or not served


@pytest.mark.parametrize('words, first', [('temperature', 'idea/notation.html#temperature'),
                                          ('KL balancing', 'idea/notation.html#kl-balancing'),
                                          ('explore', 'workbench/explore.html'),
                                          ('image_grid', 'api/plots.pictures.html#nvae.plots.pictures.image_grid')])
def test_search_shows_titles_and_terms_first_and_each_page_once(reader, words, first):
    page = reader().open('index.html')
    page.locator('input[name=q]').first.fill(words)
    page.keyboard.press('Enter')
    page.wait_for_function("!document.querySelector('#search-progress, .search-summary')?.textContent.includes('...')")
    page.wait_for_selector('#search-results li a')
    page.wait_for_timeout(1000)  # results are added one by one
    found = page.locator('#search-results li a').evaluate_all('links => links.map(a => a.href)')
    assert found[0].endswith(first)
    pages = [address.partition('#')[0] for address in found]
    assert len(pages) == len(set(pages)) > 3


def test_the_sidebar_has_six_folds(reader):
    page = reader().open('using/explore.html')
    folds = page.locator('.sidebar-tree > ul > li > a').all_inner_texts()
    assert folds == ['Start', 'Tutorials', 'Book', 'Boards', 'Engine', 'Reference']
    shown = page.locator('.sidebar-tree li.toctree-l2 > a:visible').all_inner_texts()
    assert 'The network' in shown and 'Your own data' not in shown
    page.locator('.sidebar-tree > ul > li:nth-child(2) > label').click()
    assert page.locator('.sidebar-tree a:visible', has_text='Your own data').count()


def test_the_first_page_moves_and_can_be_stopped(reader):
    page = reader().open('index.html')
    state = "getComputedStyle(document.querySelector('img.walk')).animationPlayState"
    place = "getComputedStyle(document.querySelector('img.walk')).objectPosition"
    assert page.evaluate(state) == 'running'
    before = page.evaluate(place)
    page.wait_for_function(f'{place} !== "{before}"')
    page.locator('.film-stop').click()
    stopped = page.evaluate(place)
    page.wait_for_timeout(500)
    assert page.evaluate(state) == 'paused' and page.evaluate(place) == stopped
    assert page.locator('ul.ways > li').count() == 3


def test_who_asked_for_less_motion_sees_a_still(reader):
    visitor = reader()
    visitor.page.emulate_media(reduced_motion='reduce')
    page = visitor.open('index.html')
    assert page.evaluate("getComputedStyle(document.querySelector('img.walk')).animationPlayState") == 'paused'
    assert page.locator('.film-stop').inner_text() == 'Play'


def test_first_screen_has_the_three_ways(reader):
    page = reader().open('index.html')
    page.set_viewport_size(dict(width=1280, height=720))
    assert page.locator('ul.ways > li').last.evaluate('e => e.getBoundingClientRect().top') < 640


@pytest.mark.parametrize('path', ['using/encode.html', 'learning/fit.html', 'engine/ground/config.html'])
def test_a_hundred_columns_of_code_are_seen_whole(reader, path):
    page = reader().open(path)
    wide = """[...document.querySelectorAll('.cell:not(.tag_wraps) > .cell_input pre, .cell_input details pre')]
              .filter(e => e.clientWidth && e.scrollWidth > e.clientWidth).length"""
    assert page.evaluate(wide) == 0


def test_screenshots_of_a_board_lead_to_their_full_size(reader):
    visitor = reader(served=True)
    page = visitor.open('workbench/sample.html')
    link = page.locator('figure.only-light a.image-reference')
    shown = link.locator('img').evaluate('e => e.clientWidth')
    link.click()
    page.wait_for_url('**/_images/sample-light.webp')
    assert page.evaluate('document.images[0].naturalWidth') > shown


def test_the_comparison_is_stacked_on_a_phone(reader):
    page = reader(width=390).open('index.html')
    cell = page.locator('table.stack tbody tr').first.locator('td').nth(1)
    assert cell.evaluate("e => getComputedStyle(e, '::before').content") == '"this kit: "'
    assert cell.evaluate('e => e.getBoundingClientRect().width') > 250
    wide = reader().open('index.html').locator('table.stack tbody tr').first.locator('td').nth(1)
    assert wide.evaluate("e => getComputedStyle(e, '::before').content") == 'none'


def test_names_in_prose_lead_to_the_reference(reader):
    page = reader().open('using/explore.html')
    page.locator('article a.name').first.click()
    there = "location.pathname.includes('/api/') && document.getElementById(location.hash.slice(1)) !== null"
    page.wait_for_function(there)


def test_formulae_are_drawn(reader):
    page = reader().open('learning/losses.html')
    assert page.locator('mjx-container svg').count() > 3
    assert not any('\\' in text for text in page.locator('article .math').all_inner_texts())


def test_code_is_copied_without_prompt(reader):
    page = reader(served=True).open('index.html')
    block = page.locator('div.highlight').first
    block.hover()
    block.locator('button.copybtn').click()
    assert page.evaluate('navigator.clipboard.readText()') == block.locator('pre').inner_text().strip()


def test_theme_can_be_switched(reader):
    page = reader().open('index.html')
    seen = set()
    for _ in range(3):
        page.locator('.content-icon-container .theme-toggle').first.click()
        background = page.evaluate('getComputedStyle(document.body).backgroundColor')
        seen.add((page.evaluate('document.body.dataset.theme'), background))
    assert dict(seen)['light'] != dict(seen)['dark']


def test_footer_tells_address_and_version(reader, settings):
    footer = reader().open('api/plots.pictures.html').locator('.site-address')
    assert settings['version'] in footer.inner_text()
    assert settings['doc_host'] + settings['doc_baseurl'] == footer.locator('a').first.get_attribute('href')
