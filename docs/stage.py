"Turns the notebooks into pages for Sphinx: their stored outputs, without directives, with captions, alt texts and links of the site"
import re
import shutil
from copy import deepcopy
from posixpath import normpath

import api
import nbformat
import pictures
from book import PARTS, ROOT, chapters, source_address

STAGED = ROOT / '_proc'
REFERENCE = 'reference/gallery', 'reference/commands', 'reference/configs', 'reference/keys', 'api/index'
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


def typed(cell):
    "The commands of a `%%bash` cell as a block of their own; of the cell itself what was printed is shown"
    commands = cell.source.partition('\n')[2].strip()
    cell.metadata['tags'] = ['remove-input']
    return [nbformat.v4.new_markdown_cell(f'```sh\n{commands}\n```')] + [cell] * bool(cell.outputs)


def heading(part):
    "The name that Sphinx gives a heading, from the one that Jupyter gives it"
    return re.sub(r'[^\w-]', '', part.lower())


class Stager:
    "Notebooks by their file names become pages; `problems` collects what a reader would stumble over"
    def __init__(self, root=ROOT):
        self.root, self.chapters, self.problems = root, chapters(root), []
        self.pages = {c.path.name: c.page for c in self.chapters}

    def address(self, chapter, target):
        "A link of a notebook as a link of the site: other notebooks to their pages, files of the repository to where it is shown"
        path, hash_, part = target.partition('#')
        if not path or re.match(r'[a-z]+:', target): return f'#{heading(part)}' if hash_ and not path else target
        if path in self.pages: return f'/{self.pages[path]}.ipynb{hash_}{heading(part)}'
        file = normpath(f'nbs/{path}')
        if not (self.root / file).exists(): self.problems.append(f'{chapter.path.name}: a link to {target}, which does not exist')
        if file.startswith('docs/images/'): return f'/{file.removeprefix("docs/")}'
        return source_address(file, root=self.root)

    def links(self, chapter, markdown):
        "The same text, its links as the site's; what stands in code is left alone"
        return LINK_OR_CODE.sub(lambda m: f'{m[1]}({self.address(chapter, m[2])})' if m[2] else m[0], markdown)

    def caption(self, chapter, cell, following):
        "Takes the caption, the emphasised first sentence(s) after a figure, out of the following cell"
        found = CAPTION.match(following.source) if following and following.cell_type == 'markdown' else None
        if not found:
            self.problems.append(f'{chapter.path.name}: no *caption* follows the figure of the cell {cell.source.strip()[-60:]!r}')
            return
        following.source = following.source[found.end():].lstrip()
        text = self.links(chapter, found[1])
        cell.metadata['mystnb'] = {'image': {'alt': plain(text)}, 'figure': {'caption': text}}

    def code(self, chapter, cell, following):
        "A code cell for readers"
        cell.outputs = [o for o in cell.outputs if not is_widget(o) or is_figure(o)]
        figures = [o for o in cell.outputs if is_figure(o)]
        if len(figures) > 1: self.problems.append(f'{chapter.path.name}: a cell with {len(figures)} figures can carry one caption only')
        if figures: self.caption(chapter, cell, following)
        labels = ''.join(f'({api.label(chapter.module, name)})=\n' for name in api.defined(cell.source)) if says(cell, 'export') else ''
        cell.source = DIRECTIVE.sub('', cell.source).strip()
        if cell.source.startswith('%%bash'): return typed(cell)
        return ([nbformat.v4.new_markdown_cell(labels)] if labels else []) + [cell] * bool(cell.source or cell.outputs)

    def about(self, chapter):
        "A line below the subtitle: the module's reference, and the notebook itself"
        module = f'Module [`nvae.{chapter.module}`](/api/{chapter.module}.md) · ' if chapter.module and chapter.folder else ''
        return f'\n\n{{.chapter}}\n{module}[{chapter.path.name}]({source_address(f"nbs/{chapter.path.name}", root=self.root)})'

    def markdown(self, chapter, cell):
        cell.source = self.links(chapter, cell.source)
        title = re.match(r'#\s+\S.*\n+(>.*)', cell.source)
        about = self.about(chapter) if chapter.folder else ''
        if title: cell.source = f'{cell.source[:title.start(1)]}{{.subtitle}}\n{title[1]}{about}\n\n{cell.source[title.end():].lstrip()}'
        return [cell] if cell.source.strip() else []

    def notebook(self, chapter):
        "The notebook that Sphinx reads"
        given, shown = deepcopy(chapter.notebook), []
        cells = given.cells
        for cell, following in zip(cells, [*cells[1:], None]):
            if says(cell, 'hide'): continue
            shown += self.code(chapter, cell, following) if cell.cell_type == 'code' else self.markdown(chapter, cell) if cell.cell_type == 'markdown' else []
        given.cells = with_board(shown, pictures.boards(chapter.path.stem))
        return given


def with_board(cells, markdown):
    "A board's picture stands where JupyterLab would show the board: below the code cell that ends with its name"
    below = next((i for i, cell in enumerate(cells, 1) if cell.cell_type == 'code' and cell.source.splitlines()[-1:] == ['board']), len(cells))
    return cells[:below] + [nbformat.v4.new_markdown_cell(markdown)] * bool(markdown) + cells[below:]


def contents(pages):
    "The table of contents: the parts of the book, then what is generated"
    parts = [(title, [c.page for c in pages if c.folder == folder]) for folder, title, _ in PARTS] + [('Reference', REFERENCE)]
    return '\n\n'.join(f'```{{toctree}}\n:hidden:\n:caption: {title}\n\n' + '\n'.join(inside) + '\n```' for title, inside in parts if inside)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')


def write_chapters(stager, target):
    "The pages of the book; the front page holds the contents"
    for chapter in stager.chapters:
        notebook = stager.notebook(chapter)
        if not chapter.folder: notebook.cells.append(nbformat.v4.new_markdown_cell(contents(stager.chapters)))
        write(target / f'{chapter.page}.ipynb', nbformat.writes(notebook))


def stage(target=STAGED, root=ROOT):
    "Write all pages; returns what is wrong with the notebooks, one line each"
    import tables  # and with it the package
    shutil.rmtree(target, ignore_errors=True)
    stager = Stager(root)
    write_chapters(stager, target)
    for page, text in {**api.pages(stager.chapters, root), **tables.pages(target), 'reference/gallery.md': pictures.gallery_page()}.items(): write(target / page, text)
    shutil.copytree(root / 'docs/images', target / 'images', dirs_exist_ok=True)
    return stager.problems


if __name__ == '__main__':
    problems = stage()
    raise SystemExit('\n'.join(problems) if problems else 0)
