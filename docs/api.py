"The reference: for every module a page of its public names, read from the modules' text, without importing them"
import ast
import io
import json
import re
import tokenize
from collections import defaultdict
from typing import NamedTuple

from book import ROOT, source_address

FUNCTION = ast.FunctionDef, ast.AsyncFunctionDef
RAISES = re.compile(r'(?:^|[;,.:]\s+|\s+)[Rr]aises (`?)(\w+)\1\s*(.*)\Z', re.S)
TABLE = 'parameter', 'type', 'default', 'meaning'
INDEX = '''# The package

`import nvae` loads nothing; these names are looked up when they are first used.
They are what is meant for users, and they stay.

| name | defined as |
|---|---|
{short}

The modules, folder by folder:

{trees}
'''


class Parameter(NamedTuple):
    "One row of a table"
    name: str
    type: str = ''
    default: str = ''
    meaning: str = ''


def label(module, name):
    "Where the book defines a name; labels don't tell `Estimate` from `estimate`, so capitals say so"
    capital = 'capital-' if name.lstrip('_')[:1].isupper() else ''
    return f'def-{module.replace(".", "-")}-{capital}{name}'


def module_file(module):
    "Where a module lies in the repository"
    return f'nvae/{module.replace(".", "/")}.py'


def defined(source):
    "Functions, classes and constants that a cell defines at its top level"
    return [name for node in ast.parse(source).body for name in names(node)]


def names(node):
    "What one statement defines"
    if isinstance(node, (*FUNCTION, ast.ClassDef)): return [node.name]
    targets = []
    for target in getattr(node, 'targets', []): targets += target.elts if isinstance(target, ast.Tuple) else [target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def comments(source):
    "The comment of each line that has one; a line with nothing else goes on with the one above"
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or token.string.startswith('#|'): continue
        row, text = token.start[0], token.string.lstrip('# ').strip()
        alone = not token.line[:token.start[1]].strip()
        above = max((line for line in found if line < row), default=None) if alone else None
        if above is not None and row - above == 1: found[above] += f' {text}'
        elif not alone: found[row] = text
    return found


def escaped(text):
    "Plain text with `code` as Markdown, fit for a table's cell"
    parts = re.split(r'(`[^`]+`)', text)
    parts[::2] = [re.sub(r'([*<$\[\]])', r'\\\1', part) for part in parts[::2]]
    return ''.join(parts).replace('|', '\\|').replace('\n', ' ')


def code(text):
    return f'`{text}`'.replace('|', '\\|') if text else ''


def parameters(function, said):
    "The parameters of a function; a comment speaks of the last one on its line, as docments have it"
    a = function.args
    positional = [*a.posonlyargs, *a.args]
    stars = {a.vararg: '*', a.kwarg: '**'}
    defaults = dict(zip(positional[::-1], a.defaults[::-1]))
    defaults |= {p: d for p, d in zip(a.kwonlyargs, a.kw_defaults) if d}
    every = [p for p in (*positional, a.vararg, *a.kwonlyargs, a.kwarg) if p]
    last_on = {p.lineno: p for p in every}
    if function.returns: last_on.pop(function.returns.lineno, None)
    text = lambda node: ast.unparse(node) if node else ''
    rows = []
    for p in every:
        if p.arg in ('self', 'cls'): continue
        meaning = said.get(p.lineno, '') if last_on.get(p.lineno) is p else ''
        rows.append(Parameter(stars.get(p, '') + p.arg, text(p.annotation), text(defaults.get(p)), meaning))
    return rows


def fields(cls, said):
    "The annotated attributes of a dataclass or named tuple"
    rows = []
    for n in cls.body:
        if not isinstance(n, ast.AnnAssign) or n.target.id.startswith('_'): continue
        default = ast.unparse(n.value) if n.value else ''
        rows.append(Parameter(n.target.id, ast.unparse(n.annotation), default, said.get(n.lineno, '')))
    return rows


def table(rows):
    "Markdown, without columns that nobody fills; nothing where the signature says it all"
    if not rows: return ''
    cells = [(code(r.name), code(r.type), code(r.default), escaped(r.meaning)) for r in rows]
    kept = [i for i in range(4) if i == 0 or any(c[i] for c in cells)]
    if kept == [0]: return ''
    line = lambda values: '| ' + ' | '.join(values[i] for i in kept) + ' |'
    return '\n'.join([line(TABLE), '|' + '---|' * len(kept), *map(line, cells)]) + '\n'


def described(doc):
    "A docstring in two parts: (what it does, [(exception, when)])"
    found = RAISES.search(doc or '')
    if not found: return (doc or '').strip(), []
    return doc[:found.start()].strip() or '', [(found[2], found[3].strip())]


def said_of_return(function, said):
    "The comment beside the returned type"
    last = max([p.lineno for p in [*function.args.args, *function.args.kwonlyargs]], default=function.lineno)
    if function.returns and function.returns.lineno > last: return said.get(function.returns.lineno, '')
    inline = function.returns and function.returns.lineno == last
    after = next((said[row] for row in range(last + 1, function.body[0].lineno) if row in said), '')
    return said.get(last, '') if inline else after


def returns(function, said):
    "The field lines for what a function gives back and what it raises"
    meaning = said_of_return(function, said)
    doc, raised = described(ast.get_docstring(function))
    if found := RAISES.search(meaning): meaning, raised = meaning[:found.start()], [*raised, (found[2], found[3])]
    kind = code(ast.unparse(function.returns)) if function.returns else ''
    what = ': '.join(filter(None, [kind, escaped(meaning)]))
    given = [f':returns: {what}'] if what and kind != '`None`' else []
    return given + [f':raises {error}: {escaped(when)}' for error, when in raised]


def signature(function):
    "Names and defaults; the types stand in the table"
    bare = ast.parse(f'def f({ast.unparse(function.args)}): pass').body[0].args
    for p in [*bare.posonlyargs, *bare.args, *bare.kwonlyargs, bare.vararg, bare.kwarg]:
        if p: p.annotation = None
    bare.args = [p for p in bare.args if p.arg not in ('self', 'cls')]
    return f'({ast.unparse(bare)})'


def directive(kind, head, *body, options=''):
    "A directive of MyST; fences grow outwards"
    inside = '\n\n'.join(part for part in body if part)
    fence = '`' * (max([len(f) for f in re.findall(r'^`{3,}', inside, re.M)] + [2]) + 1)
    return f'{fence}{{{kind}}} {head}\n{options}\n{inside}\n{fence}'


def decorated(node): return [ast.unparse(d) for d in node.decorator_list]


def function(node, said, where='', name=None, kind='py:function'):
    "A function or method"
    doc = described(ast.get_docstring(node))[0]
    marks = [d for d in ('classmethod', 'staticmethod') if d in decorated(node) and kind == 'py:method']
    options = ''.join(f':{mark}:\n' for mark in marks)
    body = escaped(doc), table(parameters(node, said)), '\n'.join(returns(node, said)), where
    return directive(kind, f'{name or node.name}{signature(node)}', *body, options=options)


def member(node, said, cls):
    "A method or property"
    name = f'{cls.name}.{node.name}'
    if not {'property', 'cached_property'} & set(decorated(node)):
        return function(node, said, name=name, kind='py:method')
    options = f':type: {ast.unparse(node.returns)}\n' if node.returns else ''
    return directive('py:property', name, escaped(ast.get_docstring(node) or ''), options=options)


def is_config(cls): return 'Frozen' in [ast.unparse(b) for b in cls.bases] + [cls.name]


def class_head(init, own):
    "The signature of a class: its `__init__`'s, or its fields"
    if init: return signature(init)
    if not own: return ''
    return '(' + ', '.join(f'{f.name}={f.default}' if f.default else f.name for f in own) + ')'


def class_(node, said, where):
    "A class, with its fields or parameters, its methods and properties"
    methods = {m.name: m for m in node.body if isinstance(m, FUNCTION)}
    init, own = methods.get('__init__'), [] if is_config(node) else fields(node, said)
    doc, raised = described(ast.get_docstring(node))
    shown = [m for name, m in methods.items() if not name.startswith('_') and ast.get_docstring(m)]
    members = [member(m, said, node) for m in shown]
    keys = ''
    if is_config(node) and node.name != 'Frozen': keys = 'Its keys are [listed with the others](/reference/keys.md).'
    rows = own or (parameters(init, said) if init else [])
    is_error = re.search(r'Error|Exception', ' '.join(map(ast.unparse, node.bases)))
    errors = '\n'.join(f':raises {e}: {escaped(when)}' for e, when in raised)
    kind = 'py:exception' if is_error else 'py:class'
    head = f'{node.name}{class_head(init, own)}'
    return directive(kind, head, escaped(doc), keys, table(rows), errors, where, *members)


def constant(node, name, said, where):
    "A constant and its value, shortened"
    value = re.sub(r'\s+', ' ', ast.unparse(node.value))
    if len(value) > 100: value = value[:100] + ' …'
    meaning, options = escaped(said.get(node.lineno, '')), f':value: {json.dumps(value)}\n'
    return directive('py:data', name, meaning, where, options=options)


def is_command(node): return any(d.startswith('app.command') for d in decorated(node))


def entry(node, module, said, root):
    "One public definition"
    line = source_address(module_file(module), root=root) + f'#L{node.lineno}-L{node.end_lineno}'
    def where(name):
        return f'{{.source}}\n[in the book](#{label(module, name).lower()}) · [source]({line})'
    if isinstance(node, ast.ClassDef): return [class_(node, said, where(node.name))]
    if isinstance(node, FUNCTION): return [] if is_command(node) else [function(node, said, where(node.name))]
    return [constant(node, name, said, where(name)) for name in names(node)]


def module_page(chapter, root):
    "The page of one module"
    source = (root / module_file(chapter.module)).read_text(encoding='utf-8')
    tree, said = ast.parse(source), comments(source)
    public = next(ast.literal_eval(n.value) for n in tree.body if names(n) == ['__all__'])
    shown = [node for node in tree.body if set(names(node)) & set(public)]
    entries = [text for node in shown for text in entry(node, chapter.module, said, root)]
    head = [f'# nvae.{chapter.module}', f'{{.subtitle}}\n{escaped(ast.get_docstring(tree) or "")}',
            f'Explained in [the book](/{chapter.page}.ipynb).', f'```{{py:module}} nvae.{chapter.module}\n```']
    return '\n\n'.join([*head, *entries]) + '\n'


def home(root):
    "The names of the package itself: name → where it is defined"
    tree = ast.parse((root / 'nvae/__init__.py').read_text(encoding='utf-8'))
    return ast.literal_eval(next(n.value for n in tree.body if names(n) == ['_home']))


def index_page(modules, root):
    "The names that `import nvae` gives at once, and all modules by folder"
    short = '\n'.join(f'| `nvae.{name}` | `nvae.{target}` |' for name, target in home(root).items())
    folders = defaultdict(list)
    for module in sorted(c.module for c in modules): folders[module.rpartition('.')[0]].append(module)
    trees = []
    for folder in sorted(folders):
        listed = '\n'.join(f'nvae.{module} <{module}>' for module in folders[folder])
        trees.append(f'```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```')
    return INDEX.format(short=short, trees='\n\n'.join(trees))


def pages(chapters, root=ROOT):
    "The reference by file name"
    modules = [c for c in chapters if c.module and c.part]
    return {'api/index.md': index_page(modules, root), **{f'api/{c.module}.md': module_page(c, root) for c in modules}}
