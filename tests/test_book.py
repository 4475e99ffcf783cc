"The notebooks as a book: links that lead somewhere, captions, chapters that lead to the next, one spelling"
import json
import re
import sys
from os.path import dirname, join, normpath
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NBS = ROOT / 'nbs'
sys.path.insert(0, str(ROOT / 'docs'))
import book  # noqa: E402

CHAPTERS = {chapter.name: chapter for chapter in book.chapters()}
ORDER = list(CHAPTERS)
PAGES = {name: json.loads((NBS / name).read_text(encoding='utf-8'))['cells'] for name in ORDER}
NETWORK = [name for name in ORDER if re.search(r'2_network/.*_(likelihoods|layers|cells|latents|flows|model)\.', name)]
NETWORK += ['3_learning/00_losses.ipynb', '3_learning/01_spectral.ipynb']
# executed copies of these lie in the folders of runs, where a link to a neighbour leads nowhere
COPIED = {'workbench/00_train.ipynb', 'workbench/06_compare.ipynb'}
AMERICAN = (r'\b(?:(?:normal|regular|optim|organ|visual|initial|general|recogn|real|minim|maxim)iz\w+|behavior\w*'
            r'|colors?|centers?|neighbors?|labeled|modeled)\b')
BY_NUMBER = r'notebooks? \d+|\[\d+[a-z]?\]\([^)]*\.ipynb'
WANTED = {
    'what happens without it': r'[Ww]ithout|[Ww]hat a flow buys',
    'shapes': r'[Ss]hapes, step by step',
    'place in the network': r'## Place in the network',
    'tests': r'How it is tested'}


def source(cell):
    return ''.join(cell['source'])


def markdown(name):
    return [source(cell) for cell in PAGES[name] if cell['cell_type'] == 'markdown']


def prose(name):
    return '\n\n'.join(markdown(name))


def without_code(text):
    return re.sub(r'```.*?```|`[^`]*`', '', text, flags=re.S)


def anchor(text):
    "How Jupyter calls a heading"
    return re.sub(r'[^\w-]', '', text.strip().lower().replace(' ', '-'))


def anchors(name):
    return {anchor(heading) for heading in re.findall(r'^#+ (.*)$', prose(name), re.M)}


def links(text):
    return re.findall(r'(?<!!)\[[^\]]*\]\(([^)\s]+)\)', without_code(text))


def inside_links(name, text):
    "Links to this repository: (file below nbs/, or above it with dots; the part of the page)"
    for link in links(text):
        if re.match(r'[a-z]+:', link): continue
        path, _, part = link.partition('#')
        yield normpath(join(dirname(name), path)) if path else name, part


def has_picture(cell):
    return any(kind.startswith('image/') for out in cell.get('outputs', ()) for kind in out.get('data', {}))


@pytest.mark.parametrize('name', PAGES)
def test_links_lead_somewhere(name):
    found = list(inside_links(name, prose(name)))
    missing = [path for path, _ in found if not (NBS / path).exists()]
    lost = [f'{path}#{part}' for path, part in found if part and path in PAGES and anchor(part) not in anchors(path)]
    assert (missing, lost) == ([], [])


@pytest.mark.parametrize('name', PAGES)
def test_links_go_by_title(name):
    assert re.findall(BY_NUMBER, without_code(prose(name))) == []


@pytest.mark.parametrize('name, following', [pair for pair in zip(ORDER, ORDER[1:]) if pair[0] not in COPIED])
def test_a_chapter_leads_to_the_next(name, following):
    last = '\n'.join(markdown(name)[-3:])
    assert following in [path for path, _ in inside_links(name, last)]


@pytest.mark.parametrize('name', [name for name in PAGES if name != 'index.ipynb'])
def test_every_picture_has_a_caption(name):
    bare = []
    for cell, after in zip(PAGES[name], [*PAGES[name][1:], None]):
        has_words = after and after['cell_type'] == 'markdown' and source(after).lstrip().startswith('*')
        if has_picture(cell) and not has_words: bare.append(source(cell)[-60:])
    assert bare == []


@pytest.mark.parametrize('name', NETWORK)
def test_a_chapter_on_the_network_answers_what_it_should(name):
    assert [what for what, pattern in WANTED.items() if not re.search(pattern, prose(name))] == []
    code = '\n'.join(source(cell) for cell in PAGES[name] if cell['cell_type'] == 'code')
    assert 'draw_hierarchy(' in code


@pytest.mark.parametrize('name', [name for name in PAGES if 'bibliography' not in name])
def test_spelling_is_british(name):
    assert re.findall(AMERICAN, re.sub(r'\]\([^)]*\)', ']', without_code(prose(name)))) == []
