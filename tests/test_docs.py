"What `make docs` does to a notebook and complains about, on a small project; tests/site looks at the whole site"
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell as code
from nbformat.v4 import new_markdown_cell as prose
from nbformat.v4 import new_notebook, new_output
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'docs'))
import api  # noqa: E402
import book  # noqa: E402
import check_site  # noqa: E402
import columns  # noqa: E402
import readme  # noqa: E402
import stage  # noqa: E402

DOT = ('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAA'
       'AABJRU5ErkJggg==')
KERNEL = {'kernelspec': {'name': 'python3', 'language': 'python', 'display_name': 'python3'}}
SOURCE = '''def twice(x,        # images (B, C, H, W) in [0, 1]
          n:int|None=2, # times
         )->list:   # of `n` things
    "The same again; raises `BadInput` where there is nothing"
    return [x] * n'''


def figure(): return code('plot()', outputs=[new_output('display_data', {'image/png': DOT, 'text/plain': '<Figure>'})])


def make(root, **notebooks):
    "A project with these notebooks, by their path below nbs/"
    for folder in ('nbs/2_network', 'nbs/engine/ground', 'nvae/network', 'docs/images'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / 'settings.ini').write_text((ROOT / 'settings.ini').read_text(encoding='utf-8'), encoding='utf-8')
    (root / 'nvae/__init__.py').write_text("_home = {'twice': 'network.things.twice'}\n")
    (root / 'nvae/network/things.py').write_text(f'"Things"\n__all__ = [\'twice\']\n{SOURCE}\n')
    front = [prose('# nvae\n\n> A kit')]
    for name, cells in {'index': front, '2_network/04_things': things(), **notebooks}.items():
        nbformat.write(new_notebook(cells=cells, metadata=KERNEL), root / f'nbs/{name}.ipynb')
    return stage.Stager(root)


def things():
    caption = '*A dot, at the [front](../index.ipynb).* And `twice` it is, as [before](#What-it-is) $x^2$.'
    return [prose('# Things\n\n> What there is'), code('#| default_exp network.things'), code(f'#| export\n{SOURCE}'),
            figure(), prose(f'{caption}\n\n## What it is'), code('#| hide\nsecret()')]


def staged(stager, name):
    "The page that becomes of a notebook"
    return stager.notebook(next(c for c in stager.chapters if c.name == f'{name}.ipynb'))


def test_a_notebook_becomes_a_page(tmp_path):
    stager = make(tmp_path)
    page = staged(stager, '2_network/04_things')
    text = '\n'.join(cell.source for cell in page.cells)
    assert [c.page for c in stager.chapters] == ['index', 'network/things']
    assert not stager.problems
    for hidden in ('#|', 'secret', '[front]'): assert hidden not in text
    for shown in ('[before](#what-it-is)', '{.subtitle}\n> What there is', '(/api/network.things.md)'):
        assert shown in text
    assert '(def-network-things-twice)=' in text
    shown = next(cell for cell in page.cells if cell.source == 'plot()').metadata['mystnb']
    assert shown['image'] == {'alt': 'A dot, at the front.'}
    assert shown['figure'] == {'caption': 'A dot, at the [front](/index.ipynb).'}


def test_what_is_typed_in_a_terminal_is_shown_as_that(tmp_path):
    said = [new_output('stream', name='stdout', text='exit code 2')]
    typed = 'nvae train albun\necho exit code $?'
    loud = code(f'%%bash --no-raise-error\n#| slow\n{typed}', outputs=said)
    cells = [prose('# A\n\n> b'), loud, code('%%bash\ncp a b')]
    page = staged(make(tmp_path, **{'2_network/05_a': cells}), '2_network/05_a')
    commands, output, silent = page.cells[1:]
    assert commands.source == f'```sh\n{typed}\n```'
    assert (output.outputs, output.metadata['tags']) == (said, ['remove-input'])
    assert silent.source == '```sh\ncp a b\n```'


def test_imports_long_plots_and_further_tests_are_folded(tmp_path):
    plot = code('\n'.join(f'x{i} = {i}' for i in range(9)), outputs=figure().outputs)
    tests = code('assert 1'), code('test_eq(1, 1)')
    cells = [prose('# A'), code('import torch'), *tests, plot, prose('*A plot.*'), code('x + 1')]
    page = staged(make(tmp_path, **{'2_network/05_a': cells}), '2_network/05_a')
    folded = [cell.source.splitlines()[0] for cell in page.cells if 'hide-input' in cell.metadata.get('tags', ())]
    assert folded == ['import torch', 'test_eq(1, 1)', 'x0 = 0']


@pytest.mark.parametrize('cells, complaint', [
    ([prose('# A'), figure(), prose('No words about it.')], 'no *caption*'),
    ([prose('# A\n\n[there](09_nowhere.ipynb)')], '09_nowhere.ipynb, which does not exist'),
    ([prose('# A'), code('two()', outputs=figure().outputs * 2), prose('*Two.*')], '2 figures')])
def test_what_a_reader_would_stumble_over_is_named(tmp_path, cells, complaint):
    stager = make(tmp_path, **{'2_network/05_a': cells})
    staged(stager, '2_network/05_a')
    [problem] = stager.problems
    assert complaint in problem
    assert '05_a.ipynb' in problem


def test_two_notebooks_of_one_name_in_one_part_are_refused(tmp_path):
    with pytest.raises(ValueError, match='network/things'): make(tmp_path, **{'2_network/05_things': [prose('# B')]})


def test_a_notebook_outside_the_parts_is_refused(tmp_path):
    (tmp_path / 'nbs/9_other').mkdir(parents=True)
    with pytest.raises(ValueError, match='not in a part'): make(tmp_path, **{'9_other/00_x': [prose('# X')]})


def test_the_sidebar_folds(tmp_path):
    more = {'engine/ground/00_errors': [prose('# Errors\n\n> What went wrong')],
            'engine/00_the_house': [prose('# House')]}
    texts = stage.fold_pages(make(tmp_path, **more).chapters)
    sidebar = stage.contents(texts)
    for fold in 'start', 'book', 'engine', 'reference': assert f'\n/{fold}/index\n' in sidebar
    assert 'tutorials' not in sidebar  # there are none
    assert '\n/network/index\n' in texts['book/index.md']
    for page in '/network/things', '{doc}`/network/things`: What there is': assert page in texts['network/index.md']
    for page in '/engine/the_house', '/engine/ground/index': assert f'\n{page}\n' in texts['engine/index.md']
    assert '\n/engine/ground/errors\n' in texts['engine/ground/index.md']


def test_reference_tells_shapes_types_defaults_returns_raises_and_source(tmp_path):
    text = api.pages(make(tmp_path).chapters, tmp_path)['api/network.things.md']
    for part in ('```{py:function} twice(x, n=2)', '| `x` |  |  | images (B, C, H, W) in \\[0, 1\\] |',
                 '| `n` | `int \\| None` | `2` | times |', ':returns: `list`: of `n` things',
                 ':raises BadInput: where there is nothing', 'nvae/network/things.py#L3-L7',
                 '(#def-network-things-twice)'):
        assert part in text


@pytest.mark.parametrize('one, other', [('Estimate', 'estimate'), ('_OF_IMAGES', '_of_images')])
def test_names_that_differ_by_capitals_have_places_of_their_own(one, other):
    assert api.label('bench', one).lower() != api.label('bench', other).lower()


def build(tmp_path, stager):
    "Sphinx on the staged pages, warnings as errors"
    target = tmp_path / '_proc'
    stage.write_chapters(stager, target)
    for page, text in api.pages(stager.chapters, stager.root).items(): stage.write(target / page, text)
    for page in [*list(stage.REFERENCE)[:-1], stage.GALLERY]: stage.write(target / f'{page}.md', '# A page\n')
    home = 'nvae_home.twice=nvae.network.things.twice'
    options = ['-qW', '-c', ROOT / 'docs', '-d', tmp_path / 'trees', '-D', home]
    command = [sys.executable, '-m', 'sphinx', *options, target, tmp_path / 'out/site']
    return subprocess.run(command, capture_output=True, text=True)


WIDE = [
    'x = function_with_a_name(first_argument=1, second_argument=[2, 3], third_argument="three", fourth=4, fifth=5)',
    'def f(a, # images (B, C, H, W) in [0, 1], of which there may be a hundred thousand, or one, or many others still\n'
    '      b=1): return a',
    'def g():\n    "A docstring that is longer than the hundred columns of a page, as it explains so much, and raises"',
    'raise ValueError(f"{a} of {len(b)} things are not what they were, which is a pity: {{try}} again, or do not")',
    'from some.module.of.this.package import a_first_name, a_second_name, a_third_name, a_fourth_name, a_fifth_name',
    'if a_condition_of_some_length and another_condition_of_some_length and yet_another_one_of_these: return_value()',
    "table = {'a key that is rather long, and its value too, as it is': a_function_of_one_argument(that_has_a_name)}"]


@pytest.mark.parametrize('source', WIDE)
def test_code_has_a_hundred_columns_on_a_page_and_means_the_same(source):
    narrow = columns.narrow(source)
    assert max(map(len, source.splitlines())) > columns.COLUMNS >= max(map(len, narrow.splitlines()))
    assert columns.meaning(narrow) == columns.meaning(source)
    assert columns.narrow(narrow) == narrow


def test_what_cannot_be_broken_is_left_and_marked(tmp_path):
    endless, magic = f'"{"x" * 110}"', f'%timeit {"f(x) " * 30}'
    wide, shell = f'{endless}.upper()', f'nvae train quickstart {"--set key=value " * 8}'.strip()
    page = staged(make(tmp_path, **{'2_network/05_a': [prose(f'# A\n\n```sh\n{shell}\n```'), code(wide), code(magic)]}),
                  '2_network/05_a')
    block, *cells = page.cells
    assert [cell.source for cell in cells] == [wide, magic.strip()]
    assert all('wraps' in cell.metadata['tags'] for cell in cells)
    lines = block.source.splitlines()
    assert max(map(len, lines)) <= columns.COLUMNS
    assert ' '.join(line.strip(' \\') for line in lines[3:-1]) == shell


def test_the_first_page_moves_has_three_ways_and_a_table_that_can_be_stacked():
    text = '![Faces](/images/samples.webp)\n\n* **Understand** it\n* **Use** it\n\n| | this kit | x |\n|---|---|---|'
    shown = stage.front(text)
    assert '/images/walk.webp){.film .walk}' in shown and 'samples.webp' not in shown
    assert '{.ways}\n* **Understand**' in shown and '{.stack}\n| | this kit' in shown


@pytest.mark.parametrize(('film', 'n_frames'), [
    ('walk', stage.pictures.WALK.stops * stage.pictures.WALK.steps), ('steps', stage.pictures.N_STEPS)])
def test_the_frames_of_a_film_are_those_of_the_style_sheet(film, n_frames):
    style = (ROOT / 'docs/static/nvae.css').read_text(encoding='utf-8')
    with Image.open(ROOT / f'docs/images/{film}.webp') as picture:
        height, rest = divmod(picture.height, n_frames)
        assert not rest
        assert f'.film.{film} {{ --frames: {n_frames}; --frame: {picture.width} / {height};' in style


def test_films_stand_below_the_opening_of_their_pages():
    stager = stage.Stager()
    for chapter in stager.chapters:
        if chapter.name not in stage.pictures.SHOWN_ON: continue
        name = stage.pictures.SHOWN_ON[chapter.name]
        assert f'/images/{name}.webp){{.film .{name}}}' in stager.notebook(chapter).cells[2].source


@pytest.mark.parametrize('stem', ['01_sample', '05_step_through'])
def test_screenshots_of_boards_lead_to_their_full_size(stem):
    shown = stage.pictures.boards(f'workbench/{stem}.ipynb')
    assert shown.count(':target: ../_images/') == 2


def test_reading_time_is_counted_from_the_words_of_the_main_path(tmp_path):
    uncounted = '$$x + y$$\n```sh\nnot counted\n```'
    text = prose('# A\n\n> b\n\n' + 'word ' * 5996 + f'[link](elsewhere/than/here.ipynb) {uncounted}')
    pages = make(tmp_path, **{'2_network/04_things': [text], 'engine/ground/00_x': [text]}).chapters
    assert book.words(pages[1]) == 5999
    assert book.reading_time(pages) == (.5, 6000)


LINK = 'href="../api/network.things.html#nvae.network.things.twice"'


def test_sphinx_builds_it_and_prose_leads_to_the_reference(tmp_path):
    done = build(tmp_path, make(tmp_path))
    assert not done.returncode, done.stderr
    assert check_site.check(tmp_path / 'out/site') == []
    page = (tmp_path / 'out/site/network/things.html').read_text(encoding='utf-8')
    head = page.split('</head>')[0].replace('rel="canonical" href="https://', '')
    assert LINK in page
    assert 'alt="A dot, at the front."' in page
    assert 'https://' not in head


def test_a_table_that_a_cell_shows_is_a_table_on_the_page(tmp_path):
    table = '| call | $x$ |\n|---|---|\n| `twice` | 2 |'
    shown = new_output('display_data', {'text/markdown': table, 'text/plain': '<Markdown>'})
    cells = [prose('# A'), code('table()', outputs=[shown])]
    done = build(tmp_path, make(tmp_path, **{'2_network/05_a': cells}))
    assert not done.returncode, done.stderr
    assert check_site.check(tmp_path / 'out/site') == []
    page = (tmp_path / 'out/site/network/a.html').read_text(encoding='utf-8')
    assert '<table' in page
    assert LINK in page


def test_a_name_that_is_not_there_stops_sphinx(tmp_path):
    done = build(tmp_path, make(tmp_path, **{'2_network/05_a': [prose('# A\n\nSee `nvae.network.thrice`.')]}))
    assert done.returncode
    assert 'names nothing that is documented' in done.stderr


@pytest.mark.parametrize('body, complaint', [
    ('<img src="a.png">', 'without alt text'),
    ('<a href="nowhere.html">x</a>', 'nowhere.html does not exist'),
    ('<a href="#b">x</a>', 'no such place'),
    ('<p>| a | b |\n|---|---|</p>', 'stands there as text'),
    ('<script src="https://cdn.example/x.js"></script>', 'another machine'),
    ('<link rel="stylesheet" href="//fonts.example/f.css">', 'another machine')])
def test_defects_of_a_site_are_named(tmp_path, body, complaint):
    (tmp_path / 'a.png').write_bytes(b'')
    links = '<a href="#a">fine</a> <a href="https://example.org">elsewhere</a>'
    (tmp_path / 'index.html').write_text(f'<p id="a">{body}{links}</p>')
    problems = check_site.check(tmp_path)
    assert len(problems) == 1 and complaint in problems[0]


def test_styles_and_size_are_looked_at(tmp_path, monkeypatch):
    (tmp_path / 'index.html').write_text('<p>fine</p>')
    assert check_site.check(tmp_path) == []
    assert 'run make docs' in check_site.check(tmp_path / 'elsewhere')[0]
    foreign, inside = 'url("https://example.org/x.png")', 'url(data:image/png;base64,)'
    (tmp_path / 'a.css').write_text(f'a {{ background: {foreign} }} b {{ background: {inside} }}')
    monkeypatch.setattr(check_site, 'LIMIT', 10)
    assert [p.split(':')[0] for p in check_site.check(tmp_path)] == ['a.css', 'the site has 107 bytes; 10 are allowed']


def test_links_of_the_readme_are_absolute():
    text = '[a](2_network/00_a.ipynb#Keys) ![b](../docs/images/b.webp) [c](https://c.org) [d](#Here)'
    expected = ('[a](https://h/r/blob/main/nbs/2_network/00_a.ipynb#Keys) '
                '![b](https://h/r/raw/main/docs/images/b.webp) [c](https://c.org) [d](#here)')
    assert readme.absolute(text, 'https://h/r/', 'main') == expected


def test_links_of_markdown_that_a_cell_displays_are_those_of_the_site(tmp_path):
    shown = new_output('execute_result', {'text/markdown': '* [b](06_b.ipynb)'}, execution_count=1)
    page = staged(make(tmp_path, **{'2_network/05_a': [prose('# A'), code('Markdown(text)', outputs=[shown])],
                                    '2_network/06_b': [prose('# B')]}), '2_network/05_a')
    [output] = page.cells[-1].outputs
    assert output.data['text/markdown'] == '* [b](/network/b.ipynb)'
