"What the book's pages are: which notebooks, in which part, under which names on the site"
import re
from configparser import ConfigParser
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
PARTS = (  # folder on the site, title, last number of its notebooks
    ('ground', 'I Ground', 3), ('network', 'II The network', 8), ('learning', 'III Learning', 12), ('using', 'IV Using', 19),
    ('bench', 'V The bench', 39), ('tutorials', 'VI Tutorials', 89), ('sources', 'Sources', 99))


def settings(root=ROOT):
    "The one section of settings.ini"
    ini = ConfigParser(delimiters=['='])
    ini.read(root / 'settings.ini', encoding='utf-8')
    return ini['DEFAULT']


def source_address(path, kind='blob', root=ROOT):
    "Where a file of the repository is shown to readers; kind `raw`: the file itself"
    ini = settings(root)
    return f"{ini['git_url']}{kind}/{ini['branch']}/{path}"


@dataclass(frozen=True)
class Chapter:
    "A notebook of nbs/ as a page: 05_cells.ipynb becomes network/cells"
    path: Path

    @property
    def number(self): return int(re.match(r'\d*', self.path.stem)[0] or -1)

    @property
    def name(self): return re.sub(r'^\d+[a-z]?_', '', self.path.stem)

    @property
    def folder(self): return '' if self.number < 0 else next(folder for folder, _, last in PARTS if self.number <= last)

    @property
    def page(self): return f'{self.folder}/{self.name}'.lstrip('/')

    @cached_property
    def notebook(self): return nbformat.read(self.path, as_version=4)

    @property
    def module(self):
        "The module that it exports, or None"
        found = (re.search(r'^#\|\s*default_exp\s+(\w+)', cell.source, re.M) for cell in self.notebook.cells if cell.cell_type == 'code')
        return next((match[1] for match in found if match), None)


def chapters(root=ROOT):
    "Every notebook in reading order, the front page first; raises `ValueError` where two would be the same page"
    pages = sorted((Chapter(path) for path in (root / 'nbs').glob('*.ipynb')), key=lambda c: (c.number, c.path.stem))
    doubles = {c.page for c in pages if sum(d.page == c.page for d in pages) > 1}
    if doubles: raise ValueError(f'two notebooks would be the page {", ".join(sorted(doubles))}')
    return pages
