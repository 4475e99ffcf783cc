"What the book's pages are: which notebooks, in which part, under which names on the site"
import re
from configparser import ConfigParser
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
PARTS = {  # folder of nbs/ -> its title, in reading order
    '1_idea': 'The idea',
    '2_network': 'The network',
    '3_learning': 'Learning',
    '4_using': 'Using a trained model',
    '5_tutorials': 'Tutorials',
    '6_results': 'Results',
    'workbench': 'Workbench',
    'engine': 'Engine room',
    'appendix': 'Appendix',
}
FOLDS = {  # a fold of the sidebar, and its folder on the site -> title, what it holds, parts of nbs/
    'start': ('Start', 'What the kit draws, and what was measured', ['6_results']),
    'tutorials': ('Tutorials', 'From your own pictures to a published model, and short pages for one question each',
                  ['5_tutorials']),
    'book': ('Book', 'How the model works, page by page',
             ['1_idea', '2_network', '3_learning', '4_using', 'appendix']),
    'boards': ('Boards', 'The pages that one opens and runs', ['workbench']),
    'engine': ('Engine', 'Everything that is not the network: for whoever changes the kit', ['engine']),
}
MAIN_PATH = '1_idea', '2_network', '3_learning', '4_using'
WORDS_A_MINUTE = 200
ROOMS = {  # folder of nbs/engine/ -> its title, in reading order
    'ground': 'Ground',
    'data': 'Data',
    'plots': 'Plots',
    'network': 'A faster network, and what it costs',
    'runs': 'Runs',
    'training': 'Training',
    'boards': 'Boards',
    'schedule': 'Schedules of runs',
    'sharing': 'Sharing',
    'command': 'The command line',
}


def settings(root=ROOT):
    "The one section of settings.ini"
    ini = ConfigParser(delimiters=['='])
    ini.read(root / 'settings.ini', encoding='utf-8')
    return ini['DEFAULT']


def source_address(path, kind='blob', root=ROOT):
    "Where a file of the repository is shown to readers; kind `raw`: the file itself"
    ini = settings(root)
    return f"{ini['git_url']}{kind}/{ini['branch']}/{path}"


def unnumbered(name):
    "02_cells -> cells"
    return re.sub(r'^\d+_', '', name)


@dataclass(frozen=True)
class Chapter:
    "A notebook of nbs/ as a page: nbs/2_network/03_cells.ipynb becomes network/cells"
    path: Path
    nbs: Path

    @property
    def name(self):
        "Its path below nbs/, as links and messages have it: 2_network/03_cells.ipynb"
        return self.path.relative_to(self.nbs).as_posix()

    @property
    def part(self):
        "The folder of nbs/ that it lies in: 2_network; empty for the front page"
        parents = self.path.relative_to(self.nbs).parts[:-1]
        return parents[0] if parents else ''

    @property
    def room(self):
        "The folder within the engine room: ground; empty elsewhere"
        parents = self.path.relative_to(self.nbs).parts[:-1]
        return parents[1] if len(parents) > 1 else ''

    @property
    def page(self):
        "Its address on the site"
        return '/'.join(unnumbered(part) for part in self.path.relative_to(self.nbs).with_suffix('').parts)

    @property
    def order(self):
        "What chapters are sorted by: part, room, number"
        parts, rooms = ['', *PARTS], ['', *ROOMS]
        return parts.index(self.part), rooms.index(self.room), self.path.name

    @cached_property
    def notebook(self):
        return nbformat.read(self.path, as_version=4)

    @property
    def title(self):
        "Its first heading"
        headings = (re.match(r'# (.+)', cell.source) for cell in self.prose)
        return next((found[1].strip() for found in headings if found), self.path.stem)

    @property
    def subtitle(self):
        "What stands below its first heading, quoted; empty where nothing does"
        below = (re.match(r'# .+\n+> *(.+)', cell.source) for cell in self.prose)
        return next((found[1].strip() for found in below if found), '')

    @property
    def prose(self):
        "Its cells of prose"
        return [cell for cell in self.notebook.cells if cell.cell_type == 'markdown']

    @property
    def module(self):
        "The module that it exports, or None"
        sources = (cell.source for cell in self.notebook.cells if cell.cell_type == 'code')
        found = (re.search(r'^#\|\s*default_exp\s+([\w.]+)', source, re.M) for source in sources)
        return next((match[1] for match in found if match), None)


def chapters(root=ROOT):
    """Every notebook in reading order, the front page first

    Raises `ValueError` for a notebook in a folder that is no part of the book, and where two would be the same page"""
    nbs = root / 'nbs'
    paths = [path for path in nbs.rglob('*.ipynb') if '.ipynb_checkpoints' not in path.parts]
    every = [Chapter(path, nbs) for path in paths]
    lost = [c.name for c in every if c.part not in ['', *PARTS] or c.room not in ['', *ROOMS]]
    if lost: raise ValueError(f'not in a part of the book: {", ".join(sorted(lost))}')
    pages = [c.page for c in every]
    doubles = {page for page in pages if pages.count(page) > 1}
    if doubles: raise ValueError(f'two notebooks would be the page {", ".join(sorted(doubles))}')
    return sorted(every, key=lambda c: c.order)


def words(chapter):
    "How many words of prose a page has; code, tables of numbers and formulae in `$$` are not counted"
    text = '\n'.join(cell.source for cell in chapter.prose)
    text = re.sub(r'```.*?```|\$\$.*?\$\$', ' ', text, flags=re.S)
    text = re.sub(r'\]\([^)]*\)', ']', text)
    return len(re.findall(r'[^\W\d_][\w\'’-]*', text))


def reading_time(pages):
    """(hours, words) of the main path, from the idea to using a trained model

    Words to the next thousand, hours to the next half: so that a sentence more doesn't change them"""
    n = sum(words(chapter) for chapter in pages if chapter.part in MAIN_PATH)
    return max(1, round(n / WORDS_A_MINUTE / 30)) / 2, round(n, -3)
