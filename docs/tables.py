"Generated pages: the commands from the typer app, the configurations with their drawings, their keys"
import json
import re

import typer
from api import code, directive, escaped
from book import source_address

from nvae.cli import app
from nvae.cli_training import short
from nvae.config import SECTIONS, find_asset, load_config
from nvae.config import _allowed as allowed
from nvae.model import describe
from nvae.viz import draw_hierarchy, plt


def markdown_table(head, rows):
    return '\n'.join(f'| {" | ".join(row)} |' for row in (head, ['---'] * len(head), *rows))


# The command line

def help_parts(text):
    "(paragraphs, example) of what `nvae COMMAND --help` says"
    prose, _, example = text.replace('\b', '').partition('Example:')
    return re.sub(r'(?<!\n)\n(?!\n)', ' ', prose).strip(), '\n'.join(line.strip() for line in example.strip().splitlines())


def command_section(name, command):
    "One command: how it is called, what it does, its arguments and options, an example"
    with command.make_context(f'nvae {name}', [], resilient_parsing=True) as context:
        usage = ' '.join(['nvae', name, *command.collect_usage_pieces(context)])
        rows = [(code(names), escaped(meaning)) for names, meaning in (p.get_help_record(context) for p in command.params)]
    prose, example = help_parts(command.help)
    table = [markdown_table(('argument or option', 'meaning'), rows)] if rows else []
    return '\n\n'.join([f'(nvae-{name})=\n## nvae {name}', f'```sh\n{usage}\n```', escaped(prose), *table, 'Example:', f'```sh\n{example}\n```'])


def commands_page():
    "Everything that `nvae --help` and `nvae COMMAND --help` say"
    command = typer.main.get_command(app)
    listed = markdown_table(('command', 'what it does'), [(f'[`nvae {name}`](#nvae-{name})', escaped(help_parts(c.help)[0].split('\n')[0])) for name, c in command.commands.items()])
    return '\n\n'.join(['# Commands', f'{{.subtitle}}\n{escaped(command.help)}', escaped(command.epilog), listed, *(command_section(n, c) for n, c in command.commands.items())]) + '\n'


# The configurations

def drawn(cfg, folder):
    "The network's picture as an SVG file; returns its alt text"
    folder.mkdir(parents=True, exist_ok=True)
    figure = draw_hierarchy(cfg.model)
    figure.savefig(folder / f'{cfg.name}.svg', transparent=True, metadata={'Date': None})
    plt.close(figure)
    scales = ', '.join(f'{n} of {h}×{w}' for n, (_, h, w) in ((cfg.model.scale_of_group.count(s), cfg.model.latent_shapes[cfg.model.scale_of_group.index(s)])
                                                             for s in reversed(range(cfg.model.n_scales))))
    return f'The two towers of {cfg.name}; latent groups from coarse to fine: {scales}'


def config_section(path, folder):
    "A configuration: what it is for, its network, its file"
    cfg = load_config(str(path))
    picture = f'```{{image}} /drawings/{cfg.name}.svg\n:alt: {drawn(cfg, folder)}\n:class: drawing\n```'
    file = f'```{{dropdown}} model_configs/{path.name}\n~~~yaml\n{path.read_text(encoding="utf-8").strip()}\n~~~\n[In the repository]({source_address(f"model_configs/{path.name}")})\n```'
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


def configs_page(target):
    "All configurations of the kit, as `nvae configs` lists them, and each with a drawing"
    paths = sorted(find_asset('model_configs').glob('*.yaml'))
    rows = [config_row(describe(load_config(str(p)))) for p in paths]
    return '\n\n'.join(['# The configurations', '{.subtitle}\nThe models that can be trained by name, what they cost, and how they are built',
                        'Memory is a rough need of one training step, in bytes, at the configured batch. Every key is [explained on a page of its own](keys.md); '
                        '`nvae train NAME --set key=value` changes one for a run. In the drawings the image enters at the lower left, climbs the bottom-up tower, and comes out of the top-down tower '
                        'at the lower right; each circle is a group of latents.',
                        markdown_table(('name', 'image', 'groups', 'latents', 'parameters', 'memory'), rows), *(config_section(p, target / 'drawings') for p in paths)]) + '\n'


def key_entry(cls, key, field):
    "One key, as Sphinx describes an attribute, so that prose, index and search lead to it"
    rule = allowed(cls, key)
    says = sentence(field.description) + (f' Allowed: {escaped(rule)}.' if rule else '')
    return directive('py:attribute', f'{cls.__name__}.{key}', says, options=f':value: {json.dumps(repr(field.default))}\n')


def keys_page():
    "Every key of a configuration, from the classes that check them"
    sections = [f'## {name}\n\n{escaped(cls.__doc__)}\n\n' + '\n\n'.join(key_entry(cls, k, f) for k, f in cls.model_fields.items()) for name, cls in SECTIONS.items()]
    return '\n\n'.join(['# The keys of a configuration', '{.subtitle}\nWhat a YAML file may say, what holds where it says nothing, and what is allowed',
                        'The three sections of a file. `--set` takes any of these keys; where two sections have the same, write `model.crop` or `data.crop`.',
                        '```{py:currentmodule} nvae.config\n```', *sections]) + '\n'


def pages(target):
    return {'reference/commands.md': commands_page(), 'reference/configs.md': configs_page(target), 'reference/keys.md': keys_page()}
