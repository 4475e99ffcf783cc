"Writes README.md from nbs/index.ipynb: no hidden or exported cells, absolute links, pictures under docs/readme/"
import os
import re
from configparser import ConfigParser
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[1]
PICTURES = Path('docs/readme')
NOTE = '<!-- Written by `make readme` from nbs/index.ipynb: edit that. -->\n\n'


def is_shown(cell):
    "Cells that are code of the package, or hidden, are not for the reader of the README"
    return not re.search(r'^#\|\s*(hide|export|exporti|default_exp)\b', cell.source, re.M)


def alt_text(cell):
    "What the cell's `#| fig-alt:` says of its picture"
    found = re.search(r'^#\|\s*fig-alt:\s*(.+)$', cell.source, re.M)
    return found[1].strip() if found else ''


def without_directives(cell):
    "The cell without nbdev's `#|` lines"
    if cell.cell_type == 'code': cell.source = re.sub(r'^#\|.*\n?', '', cell.source, flags=re.M).strip()
    return cell


def absolute(markdown, base, branch, folder='nbs'):
    "Links relative to `folder` become links to the repository's pages; pictures, to the raw files"
    def address(match):
        picture, text, target = match.groups()
        path, hash_, part = target.partition('#')
        if not path or re.match(r'[a-z]+:', target): return match[0]
        return f'{picture}[{text}]({base}{"raw" if picture else "blob"}/{branch}/{os.path.normpath(os.path.join(folder, path))}{hash_}{part})'
    return re.sub(r'(!?)\[([^\]]*)\]\(([^)\s]+)\)', address, markdown)


def render(root=ROOT):
    "The README's text, and its pictures by file name"
    ini = ConfigParser(delimiters=['='])
    ini.read(root / 'settings.ini', encoding='utf-8')
    notebook = nbformat.read(root / 'nbs/index.ipynb', as_version=4)
    shown = [cell for cell in notebook.cells if is_shown(cell)]
    alts = [alt_text(cell) for cell in shown]
    notebook.cells = [without_directives(cell) for cell in shown]
    text, resources = MarkdownExporter().from_notebook_node(notebook, {'output_files_dir': str('..' / PICTURES)})
    text = re.sub(r'!\[png\]\((\S+?output_(\d+)_\d+\.png)\)', lambda m: f'![{alts[int(m[2])]}]({m[1]})', text)
    pictures = {Path(name).name: data for name, data in resources['outputs'].items()}
    return NOTE + absolute(text, ini['DEFAULT']['git_url'], ini['DEFAULT']['branch']).strip() + '\n', pictures


def stale(root=ROOT):
    "The files that differ from what nbs/index.ipynb gives"
    text, pictures = render(root)
    folder = root / PICTURES
    written = {path.name: path.read_bytes() for path in folder.glob('*.png')}
    names = [name for name in sorted(written.keys() | pictures.keys()) if written.get(name) != pictures.get(name)]
    readme = root / 'README.md'
    fresh = readme.exists() and readme.read_text(encoding='utf-8') == text
    return ([] if fresh else ['README.md']) + [f'{PICTURES}/{name}' for name in names]


def write(root=ROOT):
    "README.md and its pictures, and no others beside them"
    text, pictures = render(root)
    folder = root / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob('*.png'): path.unlink()
    for name, data in pictures.items(): (folder / name).write_bytes(data)
    (root / 'README.md').write_text(text, encoding='utf-8')


if __name__ == '__main__': write()
