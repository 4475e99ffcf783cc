"The notebooks as a book: links that lead somewhere, figures with captions, chapters that answer what they should and lead to the next, one spelling"
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NBS = ROOT / 'nbs'
sys.path.insert(0, str(ROOT / 'docs'))
import book  # noqa: E402

ORDER = [chapter.path.name for chapter in book.chapters()]
PAGES = {name: json.loads((NBS / name).read_text(encoding='utf-8'))['cells'] for name in ORDER}
NETWORK = ['03_distributions', '04_layers', '05_cells', '06_latents', '07_flows', '08_model', '09_losses', '10_spectral', '13_sampling']
COPIED = {'20_train.ipynb', '26_compare.ipynb'}  # executed copies lie in the folders of runs, where a link to a neighbour leads nowhere
AMERICAN = r'\b(?:(?:normal|regular|optim|organ|visual|initial|general|recogn|real|minim|maxim)iz\w+|behavior\w*|colors?|centers?|neighbors?|labeled|modeled)\b'


def source(cell): return ''.join(cell['source'])


def markdown(name): return [source(cell) for cell in PAGES[name] if cell['cell_type'] == 'markdown']


def prose(name): return '\n\n'.join(markdown(name))


def without_code(text): return re.sub(r'```.*?```|`[^`]*`', '', text, flags=re.S)


def anchor(text): return re.sub(r'[^\w-]', '', text.strip().lower().replace(' ', '-'))


def anchors(name): return {anchor(heading) for heading in re.findall(r'^#+ (.*)$', prose(name), re.M)}


def links(text): return re.findall(r'(?<!!)\[[^\]]*\]\(([^)\s]+)\)', without_code(text))


def has_picture(cell): return any(kind.startswith('image/') for out in cell.get('outputs', ()) for kind in out.get('data', {}))


@pytest.mark.parametrize('name', PAGES)
def test_links_lead_somewhere(name):
    inside = [link for link in links(prose(name)) if not re.match(r'[a-z]+:', link)]
    missing = [link for link in inside if link[0] != '#' and not (NBS / link.partition('#')[0]).exists()]
    lost = [link for link in inside if '#' in link and (page := link.partition('#')[0] or name) in PAGES and anchor(link.partition('#')[2]) not in anchors(page)]
    assert (missing, lost) == ([], [])


@pytest.mark.parametrize('name, following', [pair for pair in zip(ORDER, ORDER[1:]) if pair[0] not in COPIED])
def test_a_chapter_leads_to_the_next(name, following):
    assert following in links('\n'.join(markdown(name)[-3:]))


@pytest.mark.parametrize('name', [name for name in PAGES if name != 'index.ipynb'])
def test_every_picture_has_a_caption(name):
    cells = PAGES[name]
    after = {i: source(cells[i + 1]) if i + 1 < len(cells) and cells[i + 1]['cell_type'] == 'markdown' else '' for i, cell in enumerate(cells) if has_picture(cell)}
    assert [source(cells[i])[-60:] for i, text in after.items() if not text.lstrip().startswith('*')] == []


@pytest.mark.parametrize('name', NETWORK)
def test_a_chapter_on_the_network_answers_what_it_should(name):
    text = prose(f'{name}.ipynb')
    wanted = {'what happens without it': r'[Ww]ithout|[Ww]hat a flow buys', 'shapes': r'[Ss]hapes, step by step', 'place in the whole': r'## In the whole', 'tests': r'How it is tested'}
    assert [what for what, pattern in wanted.items() if not re.search(pattern, text)] == []
    assert 'draw_hierarchy(' in '\n'.join(source(c) for c in PAGES[f'{name}.ipynb'] if c['cell_type'] == 'code')


@pytest.mark.parametrize('name', [name for name in PAGES if name != '90_bibliography.ipynb'])
def test_spelling_is_british(name):
    assert re.findall(AMERICAN, re.sub(r'\]\([^)]*\)', ']', without_code(prose(name)))) == []
