"The reference: for every module a page of its public names, read from the modules' text, without importing them"
import ast
import io
import json
import re
import tokenize
from typing import NamedTuple

from book import ROOT, source_address

FUNCTION = ast.FunctionDef, ast.AsyncFunctionDef
RAISES = re.compile(r'(?:^|[;,.:]\s+|\s+)[Rr]aises (`?)(\w+)\1\s*(.*)\Z', re.S)
TABLE = 'parameter', 'type', 'default', 'meaning'


class Parameter(NamedTuple):
    "One row of a table"
    name: str
    type: str = ''
    default: str = ''
    meaning: str = ''


def label(module, name):
    "Where the book defines a name; labels don't tell `Estimate` from `estimate`, so capitals say so"
    return f'def-{module}-{"capital-" * name[0].isupper()}{name}'


def defined(source):
    "Functions, classes and constants that a cell defines at its top level"
    return [name for node in ast.parse(source).body for name in names(node)]


def names(node):
    "What one statement defines"
    if isinstance(node, (*FUNCTION, ast.ClassDef)): return [node.name]
    return [t.id for t in getattr(node, 'targets', []) for t in (t.elts if isinstance(t, ast.Tuple) else [t]) if isinstance(t, ast.Name)]


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
    return ''.join(p if i % 2 else re.sub(r'([*<$\[\]])', r'\\\1', p) for i, p in enumerate(parts)).replace('|', '\\|').replace('\n', ' ')


def code(text):
    return f'`{text}`'.replace('|', '\\|') if text else ''


def parameters(function, said):
    "The parameters of a function; a comment speaks of the last one on its line, as docments have it"
    a = function.args
    positional, stars = [*a.posonlyargs, *a.args], {a.vararg: '*', a.kwarg: '**'}
    defaults = dict(zip(positional[::-1], a.defaults[::-1])) | {p: d for p, d in zip(a.kwonlyargs, a.kw_defaults) if d}
    every = positional + [p for p in (a.vararg,) if p] + a.kwonlyargs + [p for p in (a.kwarg,) if p]
    last_on = {p.lineno: p for p in every}
    if function.returns: last_on.pop(function.returns.lineno, None)
    text = lambda node: ast.unparse(node) if node else ''
    return [Parameter(stars.get(p, '') + p.arg, text(p.annotation), text(defaults.get(p)), said.get(p.lineno, '') if last_on.get(p.lineno) is p else '')
            for p in every if p.arg not in ('self', 'cls')]


def fields(cls, said):
    "The annotated attributes of a dataclass or named tuple"
    return [Parameter(n.target.id, ast.unparse(n.annotation), ast.unparse(n.value) if n.value else '', said.get(n.lineno, '')) for n in cls.body
            if isinstance(n, ast.AnnAssign) and not n.target.id.startswith('_')]


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
    given = [f':returns: {": ".join(filter(None, [kind, escaped(meaning)]))}'] if (kind or meaning) and kind != '`None`' else []
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
    doc = described(ast.get_docstring(node))[0]
    options = ''.join(f':{d}:\n' for d in ('classmethod', 'staticmethod') if d in decorated(node) and kind == 'py:method')
    return directive(kind, f'{name or node.name}{signature(node)}', escaped(doc), table(parameters(node, said)), '\n'.join(returns(node, said)), where, options=options)


def member(node, said, cls):
    "A method or property"
    if not {'property', 'cached_property'} & set(decorated(node)): return function(node, said, name=f'{cls.name}.{node.name}', kind='py:method')
    return directive('py:property', f'{cls.name}.{node.name}', escaped(ast.get_docstring(node) or ''), options=f':type: {ast.unparse(node.returns)}\n' if node.returns else '')


def is_config(cls): return 'Frozen' in [ast.unparse(b) for b in cls.bases] + [cls.name]


def class_(node, said, where):
    "A class, with its fields or parameters, its methods and properties"
    methods = {m.name: m for m in node.body if isinstance(m, FUNCTION)}
    init, own = methods.get('__init__'), [] if is_config(node) else fields(node, said)
    doc, raised = described(ast.get_docstring(node))
    head = signature(init) if init else '(' + ', '.join(f'{f.name}={f.default}' if f.default else f.name for f in own) + ')' if own else ''
    members = [member(m, said, node) for name, m in methods.items() if not name.startswith('_') and ast.get_docstring(m)]
    keys = 'Its keys are [listed with the others](/reference/keys.md).' if is_config(node) and node.name != 'Frozen' else ''
    kind = 'py:exception' if re.search(r'Error|Exception', ' '.join(map(ast.unparse, node.bases))) else 'py:class'
    return directive(kind, f'{node.name}{head}', escaped(doc), keys, table(own or (parameters(init, said) if init else [])),
                    '\n'.join(f':raises {e}: {escaped(when)}' for e, when in raised), where, *members)


def constant(node, name, said, where):
    value = re.sub(r'\s+', ' ', ast.unparse(node.value))
    return directive('py:data', name, escaped(said.get(node.lineno, '')), where, options=f':value: {json.dumps(value[:100] + " …" * (len(value) > 100))}\n')


def is_command(node): return any(d.startswith('app.command') for d in decorated(node))


def entry(node, module, said, root):
    "One public definition"
    line = source_address(f'nvae/{module}.py', root=root) + f'#L{node.lineno}-L{node.end_lineno}'
    where = lambda name: f'{{.source}}\n[in the book](#{label(module, name).lower()}) · [source]({line})'
    if isinstance(node, ast.ClassDef): return [class_(node, said, where(node.name))]
    if isinstance(node, FUNCTION): return [] if is_command(node) else [function(node, said, where(node.name))]
    return [constant(node, name, said, where(name)) for name in names(node)]


def module_page(chapter, root):
    "The page of one module"
    source = (root / f'nvae/{chapter.module}.py').read_text(encoding='utf-8')
    tree, said = ast.parse(source), comments(source)
    public = next(ast.literal_eval(n.value) for n in tree.body if names(n) == ['__all__'])
    entries = [text for node in tree.body if set(names(node)) & set(public) for text in entry(node, chapter.module, said, root)]
    return '\n\n'.join([f'# nvae.{chapter.module}', f'{{.subtitle}}\n{escaped(ast.get_docstring(tree) or "")}', f'Explained in [the book](/{chapter.page}.ipynb).',
                        f'```{{py:module}} nvae.{chapter.module}\n```', *entries]) + '\n'


def home(root):
    "The names of the package itself: name → where it is defined"
    tree = ast.parse((root / 'nvae/__init__.py').read_text(encoding='utf-8'))
    call = next(n.value for n in tree.body if names(n) == ['_home'])
    return {k.arg: k.value.value for k in call.keywords}


def index_page(modules, root):
    "All modules, and the names that `import nvae` gives at once"
    short = '\n'.join(f'| `nvae.{name}` | `nvae.{target}` |' for name, target in home(root).items())
    listed = '\n'.join(f'nvae.{c.module} <{c.module}>' for c in modules)
    return f'''# The package

`import nvae` loads nothing; these names are looked up when they are first used. Every other public name stands in its module.

| name | defined as |
|---|---|
{short}

```{{toctree}}
:maxdepth: 1

{listed}
```
'''


def pages(chapters, root=ROOT):
    "The reference by file name"
    modules = [c for c in chapters if c.module and c.folder]
    return {'api/index.md': index_page(modules, root), **{f'api/{c.module}.md': module_page(c, root) for c in modules}}
