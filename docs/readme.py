"Writes README.md from nbs/index.ipynb: what it says to readers, with absolute links"
import re
from posixpath import normpath

import nbformat
from book import ROOT, settings

NOTE = '<!-- Written by `make readme` from nbs/index.ipynb: edit that. -->\n\n'


def absolute(markdown, base, branch, folder='nbs'):
    "Links relative to `folder` become links to the repository's pages; pictures, to the raw files"
    def address(match):
        picture, text, target = match.groups()
        path, hash_, part = target.partition('#')
        if not path or re.match(r'[a-z]+:', target): return match[0]
        kind = 'raw' if picture else 'blob'
        return f'{picture}[{text}]({base}{kind}/{branch}/{normpath(f"{folder}/{path}")}{hash_}{part})'
    return re.sub(r'(!?)\[([^\]]*)\]\(([^)\s]+)\)', address, markdown)


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
    "Does README.md differ from what nbs/index.ipynb gives?"
    readme = root / 'README.md'
    return not readme.exists() or readme.read_text(encoding='utf-8') != render(root)


if __name__ == '__main__': (ROOT / 'README.md').write_text(render(), encoding='utf-8')
