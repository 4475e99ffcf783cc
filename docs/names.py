"Links `names` in prose to what they name, and complains about `nvae.` names that do not exist"
import re
from collections import defaultdict

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

logger = logging.getLogger(__name__)
NAME = re.compile(r'[A-Za-z_][\w.]*')
CONFIGS = 'nvae.config.ModelConfig.', 'nvae.config.DataConfig.', 'nvae.config.TrainConfig.'
LINKS = nodes.reference, nodes.title, pending_xref, download_reference  # what stands in these stays as it is


class Names:
    "Everything that the site documents, by the words that prose uses for it"
    def __init__(self, env):
        self.labels, self.objects = env.domaindata['std']['anonlabels'], env.domaindata['py']['objects']
        self.short = defaultdict(set)
        for full, entry in self.objects.items():
            for word in self.words(full, entry.objtype): self.short[word].add(full)
        for word, full in (env.config.nvae_home or {}).items():
            self.short[f'nvae.{word}'] = {full}

    def words(self, full, kind):
        "nvae.network.model.NVAE.encode: by `model.NVAE.encode`, `NVAE.encode`; functions and classes by the last word"
        parts = full.split('.')
        is_key = kind == 'attribute' and full.startswith(CONFIGS)
        few = 1 if is_key or kind in ('function', 'class', 'exception') else 2
        return ['.'.join(parts[i:]) for i in range(len(parts)) if len(parts) - i >= few]

    def find(self, text, module=''):
        "(docname, anchor) of what a literal names; None where it names nothing or several things"
        if command := re.match(r'nvae ([a-z]+)\b', text): return self.labels.get(f'nvae-{command[1]}')
        word = re.sub(r'\(.*\)$', '', text)
        if not NAME.fullmatch(word): return
        found = self.short.get(word, set())
        near = {full for full in found if module and full.startswith(f'{module}.')}
        full = next(iter(near or found)) if len(near or found) == 1 else None
        return (self.objects[full].docname, self.objects[full].node_id) if full else None

    def should_know(self, text):
        "Does it look like a name of the package, and is it none of its folders?"
        is_file = text.split('.')[-1] in ('model', 'checkpoint', 'png')
        looks_like_one = re.fullmatch(r'nvae\.[a-z_]+(\.\w+)*', text) and not is_file
        return looks_like_one and not any(full.startswith(f'{text}.') for full in self.objects)


class LinkNames(SphinxPostTransform):
    default_priority = 5

    def module(self):
        "The module that this page is about, so that its own names win"
        about = self.env.metadata.get(self.env.docname, {}).get('module')
        return f'nvae.{about}' if about else ''

    def run(self, **kwargs):
        names = Names(self.env)
        for literal in list(self.document.findall(nodes.literal)):
            if self.is_free(literal): self.link(literal, names)

    def is_free(self, node):
        "Not within a link, a heading or a signature"
        while node.parent is not None:
            node = node.parent
            if isinstance(node, LINKS) or node.tagname.startswith('desc_sig'): return False
        return True

    def link(self, literal, names):
        text = literal.astext()
        place = names.find(text, self.module())
        if place:
            page = self.app.builder.get_relative_uri(self.env.docname, place[0])
            uri = f'{page}#{place[1]}'
            link = nodes.reference('', '', internal=True, refuri=uri, classes=['name'])
            literal.replace_self(link)
            link += literal
        elif names.should_know(text):
            logger.warning('`%s` names nothing that is documented', text, location=literal, type='nvae', subtype='name')


def setup(app):
    app.add_config_value('nvae_home', {}, 'env')
    app.add_post_transform(LinkNames)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
