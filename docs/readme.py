"""Writes the table of contents into nbs/index.ipynb, and README.md from it: what it says, with absolute links"""
import json
import re
from posixpath import normpath

import nbformat
from book import MAIN_PATH, PARTS, ROOMS, ROOT, WORDS_A_MINUTE, chapters, reading_time, settings

CONTENTS = 'front-contents'  # the cell of the front page that is written here
NOTE = '<!-- Written by `make readme` from nbs/index.ipynb: edit that. -->\n\n'


def absolute(markdown, base, branch, folder='nbs'):
    "Links relative to `folder` become links to the repository's pages; pictures, to the raw files"
    def address(match):
        picture, text, target = match.groups()
        path, hash_, part = target.partition('#')
        if not path: return f'{picture}[{text}]({target.lower()})'  # GitHub's anchors have no capitals
        if re.match(r'[a-z]+:', target): return match[0]
        kind = 'raw' if picture else 'blob'
        return f'{picture}[{text}]({base}{kind}/{branch}/{normpath(f"{folder}/{path}")}{hash_}{part})'
    return re.sub(r'(!?)\[([^\]]*)\]\(([^)\s]+)\)', address, markdown)


def line(chapter):
    "A page in the table of contents"
    said = f': {chapter.subtitle}' if chapter.subtitle else ''
    return f'* [{chapter.title}]({chapter.name}){said}'


def room_line(room, pages):
    "A room of the engine in the table of contents"
    return f'* *{ROOMS[room]}*: ' + ', '.join(f'[{c.title}]({c.name})' for c in pages if c.room == room)


def contents(root=ROOT):
    "The table of contents: a line for each page, and for each room of the engine"
    pages = chapters(root)
    hours, n = reading_time(pages)
    first, last = (PARTS[part] for part in (MAIN_PATH[0], MAIN_PATH[-1]))
    shown = [f'The main path, from *{first}* to *{last}*, has about {n:,} words of prose: {hours:g} hours at '
             f'{WORDS_A_MINUTE} words a minute, code and formulae not counted.']
    for part, title in PARTS.items():
        inside = [chapter for chapter in pages if chapter.part == part]
        if not inside: continue
        lines = [line(chapter) for chapter in inside if not chapter.room]
        lines += [room_line(room, inside) for room in ROOMS if any(chapter.room == room for chapter in inside)]
        shown += [f'**{title}**', '\n'.join(lines)]
    return '\n\n'.join(shown)


def put_contents(root=ROOT):
    "Write the table of contents into its cell of the front page"
    path, text = root / 'nbs/index.ipynb', contents(root)
    notebook = json.loads(path.read_text(encoding='utf-8'))
    for cell in notebook['cells']:
        if cell['id'] == CONTENTS: cell['source'] = text.splitlines(keepends=True)
    written = json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + '\n'
    path.write_text(written, encoding='utf-8')


def has_old_contents(root=ROOT):
    "Does the front page's table of contents differ from the pages there are?"
    cells = nbformat.read(root / 'nbs/index.ipynb', as_version=4).cells
    return any(cell.id == CONTENTS and cell.source != contents(root) for cell in cells)


def render(root=ROOT):
    "The README's text: the prose of the front page"
    ini, notebook = settings(root), nbformat.read(root / 'nbs/index.ipynb', as_version=4)
    text = '\n\n'.join(cell.source for cell in notebook.cells if cell.cell_type == 'markdown')
    return NOTE + absolute(text, ini['git_url'], ini['branch']).strip() + '\n'


def missing(root=ROOT):
    "Files of the repository that the front page points to, and that are not there"
    targets = re.findall(r'\]\(([^)\s#]+)', (root / 'nbs/index.ipynb').read_text(encoding='utf-8'))
    files = [target for target in targets if not re.match(r'[a-z]+:', target)]
    return sorted({normpath(f'nbs/{file}') for file in files if not (root / 'nbs' / file).exists()})


def is_stale(root=ROOT):
    "Does README.md differ from what nbs/index.ipynb gives, or that from the pages there are?"
    if has_old_contents(root): return True
    readme = root / 'README.md'
    return not readme.exists() or readme.read_text(encoding='utf-8') != render(root)


if __name__ == '__main__':
    put_contents()
    (ROOT / 'README.md').write_text(render(), encoding='utf-8')
