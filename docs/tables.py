"Generated pages: the commands from the typer app, the configurations with their drawings, their keys"
import json
import re

import typer
from api import code, directive, escaped
from book import source_address

from nvae.cli.main import app
from nvae.cli.training import short
from nvae.config import SECTIONS, load_config
from nvae.errors import allowed_values as allowed
from nvae.files import find_asset
from nvae.network.cost import describe
from nvae.plots.pictures import plt
from nvae.plots.towers import draw_hierarchy


def markdown_table(head, rows):
    return '\n'.join(f'| {" | ".join(row)} |' for row in (head, ['---'] * len(head), *rows))


# The command line

def help_parts(text):
    "(paragraphs, example) of what `nvae COMMAND --help` says"
    prose, _, example = text.replace('\b', '').partition('Example:')
    lines = [line.strip() for line in example.strip().splitlines()]
    return re.sub(r'(?<!\n)\n(?!\n)', ' ', prose).strip(), '\n'.join(lines)


def command_section(name, command):
    "One command: how it is called, what it does, its arguments and options, an example"
    with command.make_context(f'nvae {name}', [], resilient_parsing=True) as context:
        usage = ' '.join(['nvae', name, *command.collect_usage_pieces(context)])
        records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [(code(names), escaped(meaning)) for names, meaning in records]
    prose, example = help_parts(command.help)
    head = f'(nvae-{name})=\n## nvae {name}', f'```sh\n{usage}\n```', escaped(prose)
    table = [markdown_table(('argument or option', 'meaning'), rows)] if rows else []
    return '\n\n'.join([*head, *table, 'Example:', f'```sh\n{example}\n```'])


def commands_page():
    "Everything that `nvae --help` and `nvae COMMAND --help` say"
    shown = typer.main.get_command(app)
    rows = []
    for name, command in shown.commands.items():
        first_line = help_parts(command.help)[0].split('\n')[0]
        rows.append((f'[`nvae {name}`](#nvae-{name})', escaped(first_line)))
    head = '# Commands', f'{{.subtitle}}\n{escaped(shown.help)}', escaped(shown.epilog)
    sections = [command_section(name, command) for name, command in shown.commands.items()]
    return '\n\n'.join([*head, markdown_table(('command', 'what it does'), rows), *sections]) + '\n'


# The configurations

def drawn(cfg, folder):
    "The network's picture as an SVG file; returns its alt text"
    folder.mkdir(parents=True, exist_ok=True)
    figure = draw_hierarchy(cfg.model)
    figure.savefig(folder / f'{cfg.name}.svg', transparent=True, metadata={'Date': None})
    plt.close(figure)
    sizes = [f'{h}×{w}' for _, h, w in cfg.model.latent_shapes]  # coarse to fine
    scales = [f'{sizes.count(size)} of {size}' for size in dict.fromkeys(sizes)]
    return f'The two towers of {cfg.name}; latent groups from coarse to fine: {", ".join(scales)}'


def config_section(path, folder):
    "A configuration: what it is for, its network, its file"
    cfg = load_config(str(path))
    picture = f'```{{image}} /drawings/{cfg.name}.svg\n:alt: {drawn(cfg, folder)}\n:class: drawing\n```'
    text, address = path.read_text(encoding='utf-8').strip(), source_address(f'model_configs/{path.name}')
    file = f'```{{dropdown}} model_configs/{path.name}\n~~~yaml\n{text}\n~~~\n[In the repository]({address})\n```'
    return '\n\n'.join([f'(config-{cfg.name})=\n## {cfg.name}', sentence(cfg.description), picture, file])


def sentence(text):
    "A remark in lower case as a sentence"
    return f'{escaped(text[:1].upper() + text[1:])}.'


def config_row(facts):
    "The line of `nvae configs`, as a table's"
    channels, h, w = facts['image']
    numbers = (number(facts[k]) for k in ('groups', 'latents', 'parameters', 'memory'))
    return f"[{facts['name']}](#config-{facts['name']})", f'{h}×{w}×{channels}', *numbers


def number(n):
    "1234567 → 1.2M, as `nvae configs` has it"
    return short(n)


CONFIGS = '''# The configurations

{.subtitle}
The models that can be trained by name, what they cost, and how they are built

Memory is a rough need of one training step, in bytes, at the configured batch. Every key is
[explained on a page of its own](keys.md); `nvae train NAME --set key=value` changes one for a run. In the drawings the
image enters at the lower left, climbs the bottom-up tower, and comes out of the top-down tower at the lower right; each
circle is a group of latents.'''
KEYS = '''# The keys of a configuration

{.subtitle}
What a YAML file may say, what holds where it says nothing, and what is allowed

The three sections of a file. `--set` takes any of these keys; where two sections have the same, write `model.crop` or
`data.crop`.

```{py:currentmodule} nvae.config
```'''


def configs_page(target):
    "All configurations of the kit, as `nvae configs` lists them, and each with a drawing"
    paths = sorted(find_asset('model_configs').glob('*.yaml'))
    rows = [config_row(describe(load_config(str(path)))) for path in paths]
    table = markdown_table(('name', 'image', 'groups', 'latents', 'parameters', 'memory'), rows)
    sections = [config_section(path, target / 'drawings') for path in paths]
    return '\n\n'.join([CONFIGS, table, *sections]) + '\n'


def key_entry(cls, key, field):
    "One key, as Sphinx describes an attribute, so that prose, index and search lead to it"
    rule = allowed(cls, key)
    says = sentence(field.description) + (f' Allowed: {escaped(rule)}.' if rule else '')
    default = json.dumps(repr(field.default))
    return directive('py:attribute', f'{cls.__name__}.{key}', says, options=f':value: {default}\n')


def keys_page():
    "Every key of a configuration, from the classes that check them"
    sections = [KEYS]
    for name, cls in SECTIONS.items():
        entries = [key_entry(cls, key, field) for key, field in cls.model_fields.items()]
        sections += [f'## {name}', escaped(cls.__doc__), *entries]
    return '\n\n'.join(sections) + '\n'


def pages(target):
    "The generated pages by file name"
    return {
        'reference/commands.md': commands_page(),
        'reference/configs.md': configs_page(target),
        'reference/keys.md': keys_page()}
