"Sphinx: the staged notebooks as a site that asks no other machine for anything"
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from bs4 import BeautifulSoup

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from api import home  # noqa: E402
from book import ROOT, settings  # noqa: E402

ini = settings()
project, author, release = ini['title'], ini['author'], ini['version']
project_copyright = ini['copyright']
address = ini['doc_host'] + ini['doc_baseurl']

extensions = ['myst_nb', 'sphinx.ext.mathjax', 'sphinx_copybutton', 'sphinx_design', 'names']
nvae_home = {name: f'nvae.{target}' for name, target in home(ROOT).items()}

nb_execution_mode = 'off'
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = 'show the code', 'hide the code'
nb_render_markdown_format = 'myst'  # what a cell shows as Markdown is read like prose: tables, formulae, links
nb_ipywidgets_js = {}  # widgets are shown as pictures; their scripts would come from elsewhere
nb_cell_metadata_key = 'mystnb'
PREFERRED = 'image/svg+xml', 'image/png', 'image/jpeg', 'text/markdown', 'text/html', 'text/plain'
nb_mime_priority_overrides = [('html', kind, order) for order, kind in enumerate(PREFERRED, 1)]
myst_enable_extensions = ['amsmath', 'attrs_block', 'attrs_inline', 'deflist', 'dollarmath', 'fieldlist']
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = []

html_theme = 'furo'
html_title = f'{project} {release}'
html_baseurl = f'{address}/'
html_static_path = ['static']
html_favicon = 'static/favicon.svg'
html_css_files = ['nvae.css']
html_js_files = ['nvae.js']
templates_path = ['templates']
html_context = {'site_address': address, 'repository': ini['git_url'].rstrip('/')}
html_copy_source = False
html_show_search_summary = False  # a page from a folder can't fetch others
html_theme_options = {
    'navigation_with_keys': False, 'source_repository': '', 'light_css_variables': {}, 'dark_css_variables': {}}
pygments_style, pygments_dark_style = 'a11y-high-contrast-light', 'a11y-high-contrast-dark'
add_module_names = False
toc_object_entries_show_parents = 'hide'
copybutton_prompt_text = r'\$ '
copybutton_prompt_is_regexp = True
mathjax_path = 'mathjax/tex-svg.js'
mathjax3_config = {'options': {'enableMenu': False}}


def put_mathjax(app, error):
    "MathJax from its Python package: the one file that draws formulae as SVG, without fonts to fetch"
    if error or app.builder.format != 'html': return
    source = Path(find_spec('sphinx-mathjax-offline').origin).parent / 'static/mathjax/tex-svg.js'
    target = Path(app.outdir) / '_static/mathjax'
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def level_headings(app, pagename, templatename, context, doctree):
    "The captions of the contents call themselves headings; screen readers need to know of which level"
    for key in 'furo_navigation_tree', 'body':
        context[key] = context.get(key, '').replace('role="heading"', 'role="heading" aria-level="2"')


def shorten_contents(app, pagename, templatename, context, doctree):
    "Outside the reference the sidebar doesn't list its modules: on each of hundreds of pages they would weigh 10 kB"
    if pagename.startswith('api/'): return
    contents = BeautifulSoup(context.get('furo_navigation_tree', ''), 'html.parser')
    for link in contents.select('a[href$="api/index.html"]'):
        for modules in link.find_next_siblings(): modules.decompose()
        link.parent['class'] = [name for name in link.parent['class'] if name != 'has-children']
    context['furo_navigation_tree'] = str(contents)


def setup(app):
    app.connect('build-finished', put_mathjax)
    app.connect('html-page-context', shorten_contents, priority=850)
    app.connect('html-page-context', level_headings, priority=900)
