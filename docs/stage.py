"Turns the notebooks into pages for Sphinx: stored outputs, no directives, captions, alt texts, links of the site"
import ast
import re
import shutil
from copy import deepcopy
from pathlib import Path
from posixpath import normpath

import api
import nbformat
import pictures
from book import FOLDS, PARTS, ROOMS, ROOT, chapters, source_address, unnumbered
from columns import COLUMNS, narrow, narrow_commands

STAGED = ROOT / '_proc'
LONG_PLOT = 6  # lines of code that draw a figure and are shown
GALLERY = 'reference/gallery'
REFERENCE = {  # generated pages -> what a reader finds there
    'reference/commands': 'Every verb of `nvae`, with its options',
    'reference/configs': 'The configurations that come with the kit',
    'reference/keys': 'Every key of a configuration',
    'api/index': 'Every module and function of the package'}
DIRECTIVE = re.compile(r'^#\|.*\n?', re.M)
CAPTION = re.compile(r'\A\s*\*(?![*\s])(.+?)(?<![*\s])\*(?=\s|\Z)', re.S)
LINK = re.compile(r'(!?\[(?:`[^`]*`|[^\[\]`]|\[[^\[\]]*\])*\])\(([^()\s]+)\)')
LINK_OR_CODE = re.compile(rf'```.*?```|{LINK.pattern}|`[^`\n]+`', re.S)


def says(cell, directive):
    "Does a code cell carry this directive of nbdev?"
    return cell.cell_type == 'code' and re.search(rf'^#\|\s*{directive}\b', cell.source, re.M)


def plain(markdown):
    "A caption as an alt text: no links, no marks"
    return re.sub(r'\s+', ' ', re.sub(r'[`$*]', '', LINK.sub(lambda m: m[1][1:-1], markdown))).strip()


def is_figure(output): return any(kind.startswith('image/') for kind in output.get('data', {}))


def is_widget(output): return any('widget' in kind for kind in output.get('data', {}))


def statements(source):
    "What a cell of Python says, statement by statement; none where it is no Python"
    try:
        return ast.parse(DIRECTIVE.sub('', source)).body
    except SyntaxError:
        return []


def is_import(statement):
    "An import, or the line that gives figures their lettering"
    return isinstance(statement, (ast.Import, ast.ImportFrom)) or 'rcParams' in ast.unparse(statement)


def is_test(statement):
    "An assertion, or one of fastcore's"
    return isinstance(statement, ast.Assert) or ast.unparse(statement).startswith('test_')


def is_folded(cell, before):
    "Can a reader do without seeing this code at once? Imports, long plots, and a test that follows a test"
    found = statements(cell.source)
    if not found: return False
    is_long = len(cell.source.splitlines()) > LONG_PLOT and not says(cell, 'export')
    if is_long and any(is_figure(output) for output in cell.outputs): return True
    if all(map(is_test, found)) and before and before.cell_type == 'code':
        return all(map(is_test, statements(before.source)))
    return all(map(is_import, found))


def typed(cell):
    "The commands of a `%%bash` cell as a block of their own; of the cell itself what was printed is shown"
    commands = cell.source.partition('\n')[2].strip()
    cell.metadata['tags'] = ['remove-input']
    shown = nbformat.v4.new_markdown_cell(f'```sh\n{narrow_commands(commands)}\n```')
    return [shown] + [cell] * bool(cell.outputs)


def fit_columns(cell):
    "Code of at most 100 columns; lines that can't be broken are marked, and wrapped by the browser"
    cell.source = narrow(cell.source)
    if any(len(line) > COLUMNS for line in cell.source.splitlines()):
        cell.metadata['tags'] = [*cell.metadata.get('tags', []), 'wraps']


def fit_blocks(markdown):
    "The blocks of code in prose, likewise"
    markdown = re.sub(r'(```python\n)(.*?)(\n```)', lambda m: m[1] + narrow(m[2]) + m[3], markdown, flags=re.S)
    return re.sub(r'(```sh\n)(.*?)(\n```)', lambda m: m[1] + narrow_commands(m[2]) + m[3], markdown, flags=re.S)


def heading(part):
    "The name that Sphinx gives a heading, from the one that Jupyter gives it"
    return re.sub(r'[^\w-]', '', part.lower())


class Stager:
    "Notebooks become pages; `problems` collects what a reader would stumble over"
    def __init__(self, root=ROOT):
        self.root = root
        self.chapters = chapters(root)
        self.problems = []
        self.pages = {c.name: c.page for c in self.chapters}

    def complain(self, chapter, what):
        "Remember a problem of a chapter"
        self.problems.append(f'{chapter.name}: {what}')

    def address(self, chapter, target):
        "A link of a notebook as a link of the site: notebooks to their pages, other files to the repository"
        path, hash_, part = target.partition('#')
        if re.match(r'[a-z]+:', target): return target
        if not path: return f'#{heading(part)}' if hash_ else target
        file = normpath(f'nbs/{Path(chapter.name).parent}/{path}')
        page = self.pages.get(file.removeprefix('nbs/'))
        if page is not None: return f'/{page}.ipynb{hash_}{heading(part)}'
        if not (self.root / file).exists(): self.complain(chapter, f'a link to {target}, which does not exist')
        if file.startswith('docs/images/'): return f'/{file.removeprefix("docs/")}'
        return source_address(file, root=self.root)

    def links(self, chapter, markdown):
        "The same text, its links as the site's; what stands in code is left alone"
        def replaced(match):
            return f'{match[1]}({self.address(chapter, match[2])})' if match[2] else match[0]
        return LINK_OR_CODE.sub(replaced, markdown)

    def caption(self, chapter, cell, following):
        "Takes the caption, the emphasised first sentence(s) after a figure, out of the following cell"
        is_prose = following and following.cell_type == 'markdown'
        found = CAPTION.match(following.source) if is_prose else None
        if not found:
            self.complain(chapter, f'no *caption* follows the figure of the cell {cell.source.strip()[-60:]!r}')
            return
        following.source = following.source[found.end():].lstrip()
        text = self.links(chapter, found[1])
        cell.metadata['mystnb'] = {'image': {'alt': plain(text)}, 'figure': {'caption': text}}

    def labels(self, chapter, cell):
        "Where the reference finds what an exported cell defines"
        if not says(cell, 'export'): return []
        text = ''.join(f'({api.label(chapter.module, name)})=\n' for name in api.defined(cell.source))
        return [nbformat.v4.new_markdown_cell(text)] if text else []

    def code(self, chapter, cell, following, before=None):
        "A code cell for readers; what they can do without is folded"
        if is_folded(cell, before): cell.metadata['tags'] = ['hide-input']
        cell.outputs = [o for o in cell.outputs if not is_widget(o) or is_figure(o)]
        for data in (o.data for o in cell.outputs if 'text/markdown' in o.get('data', {})):
            data['text/markdown'] = self.links(chapter, data['text/markdown'])
        figures = [o for o in cell.outputs if is_figure(o)]
        if len(figures) > 1:
            self.complain(chapter, f'a cell with {len(figures)} figures can carry one caption only')
        if figures: self.caption(chapter, cell, following)
        labels = self.labels(chapter, cell)
        cell.source = DIRECTIVE.sub('', cell.source).strip()
        if cell.source.startswith('%%bash'): return typed(cell)
        fit_columns(cell)
        return labels + ([cell] if cell.source or cell.outputs else [])

    def about(self, chapter):
        "A line below the subtitle: the module's reference, and the notebook itself"
        module = f'Module [`nvae.{chapter.module}`](/api/{chapter.module}.md) · ' if chapter.module else ''
        address = source_address(f'nbs/{chapter.name}', root=self.root)
        return f'\n\n{{.chapter}}\n{module}[{chapter.path.name}]({address})'

    def markdown(self, chapter, cell):
        "A cell of prose for readers"
        cell.source = fit_blocks(self.links(chapter, cell.source))
        if not chapter.part: cell.source = front(cell.source)
        title = re.match(r'#\s+\S.*\n+(>.*)', cell.source)
        if title:
            head, rest = cell.source[:title.start(1)], cell.source[title.end():].lstrip()
            about = self.about(chapter) if chapter.part else ''
            cell.source = f'{head}{{.subtitle}}\n{title[1]}{about}\n\n{rest}'
        return [cell] if cell.source.strip() else []

    def notebook(self, chapter):
        "The notebook that Sphinx reads"
        given, shown = deepcopy(chapter.notebook), []
        as_written = chapter.notebook.cells
        for cell, following, before in zip(given.cells, [*given.cells[1:], None], [None, *as_written]):
            if says(cell, 'hide'): continue
            if cell.cell_type == 'code': shown += self.code(chapter, cell, following, before)
            elif cell.cell_type == 'markdown': shown += self.markdown(chapter, cell)
        given.cells = with_film(with_board(shown, pictures.boards(chapter.name)), pictures.film(chapter.name))
        return given


def with_board(cells, markdown):
    "A board's picture stands where JupyterLab would show the board: below the code cell that ends with its name"
    if not markdown: return cells
    ends = [cell.source.splitlines()[-1:] if cell.cell_type == 'code' else [] for cell in cells]
    below = ends.index(['board']) + 1 if ['board'] in ends else len(cells)
    return [*cells[:below], nbformat.v4.new_markdown_cell(markdown), *cells[below:]]


def with_film(cells, markdown):
    "A page's film stands below its opening"
    return [*cells[:2], nbformat.v4.new_markdown_cell(markdown), *cells[2:]] if markdown else cells


def front(markdown):
    "The first page: its picture moves, its three ways are boxes, its comparison can be stacked"
    markdown = re.sub(r'^!\[[^]]*\]\(/images/samples\.webp\)', pictures.moving(), markdown, flags=re.M)
    markdown = re.sub(r'^(?=\* \*\*Understand\b)', '{.ways}\n', markdown, flags=re.M)
    return re.sub(r'^(?=\| \| this kit)', '{.stack}\n', markdown, flags=re.M)


def toctree(pages):
    "What the sidebar has below a page"
    return '\n'.join(['```{toctree}', ':hidden:', '', *(f'/{page}' for page in pages), '```'])


def table_of_contents(title, said, entries):
    "A page that unfolds in the sidebar, with a line for each page below it; entries: page -> line"
    lines = [f'* {{doc}}`/{page}`{": " * bool(line)}{line}' for page, line in entries.items()]
    subtitle = f'\n{{.subtitle}}\n{said}\n' if said else ''
    return f'# {title}\n{subtitle}\n' + '\n'.join(lines) + f'\n\n{toctree(entries)}\n'


def contents(texts):
    "The sidebar: one entry for each fold that has pages; texts: as `fold_pages` gives them"
    return toctree(f'{fold}/index' for fold in [*FOLDS, 'reference'] if f'{fold}/index.md' in texts)


def subtitles(pages):
    "Pages with what they say of themselves"
    return {chapter.page: chapter.subtitle for chapter in pages}


def divided(pages, titles, key, folder):
    "(entries, pages) of a fold whose pages lie in named divisions, each of which unfolds too"
    entries, texts = {}, {}
    for division, title in titles.items():
        inside = [chapter for chapter in pages if key(chapter) == division]
        if not inside: continue
        page = f'{folder}/{unnumbered(division)}/index'.removeprefix('/')
        entries[page] = ' · '.join(chapter.title for chapter in inside)
        texts[f'{page}.md'] = table_of_contents(title, '', subtitles(inside))
    return entries, texts


def fold_pages(pages):
    "The pages of which the sidebar is made: name -> text"
    texts = {'reference/index.md': table_of_contents('Reference', 'Looked up rather than read', REFERENCE)}
    for fold, (title, said, parts) in FOLDS.items():
        inside = [chapter for chapter in pages if chapter.part in parts]
        entries, more = subtitles(chapter for chapter in inside if not chapter.room), {}
        if fold == 'start': entries = {GALLERY: 'Pictures by the small model, each with its command'} | entries
        if fold == 'book':
            entries, more = divided(inside, {part: PARTS[part] for part in parts}, lambda c: c.part, '')
        if fold == 'engine':
            rooms, more = divided(inside, ROOMS, lambda c: c.room, 'engine')
            entries |= rooms
        if entries: texts |= {f'{fold}/index.md': table_of_contents(title, said, entries)} | more
    return texts


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')


def write_chapters(stager, target):
    "The pages of the book; the front page holds the contents"
    folds = fold_pages(stager.chapters)
    for chapter in stager.chapters:
        notebook = stager.notebook(chapter)
        if not chapter.part: notebook.cells.append(nbformat.v4.new_markdown_cell(contents(folds)))
        write(target / f'{chapter.page}.ipynb', nbformat.writes(notebook))
    for page, text in folds.items(): write(target / page, text)


def stage(target=STAGED, root=ROOT):
    "Write all pages; returns what is wrong with the notebooks, one line each"
    import tables  # and with it the package
    shutil.rmtree(target, ignore_errors=True)
    stager = Stager(root)
    write_chapters(stager, target)
    gallery = {'reference/gallery.md': pictures.gallery_page()}
    generated = api.pages(stager.chapters, root) | tables.pages(target) | gallery
    for page, text in generated.items(): write(target / page, text)
    shutil.copytree(root / 'docs/images', target / 'images', dirs_exist_ok=True)
    return stager.problems


if __name__ == '__main__':
    problems = stage()
    raise SystemExit('\n'.join(problems) if problems else 0)
