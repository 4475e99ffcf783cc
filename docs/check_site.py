"""What can be wrong with the built site and shows without a browser: dead links, foreign requests, mute pictures, size.

python docs/check_site.py SITE    prints one line per problem; exit code 1 if there is any"""
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LIMIT = 40_000_000  # bytes
LOADED = {'object': 'data', 'link': 'href'}  # tag -> the attribute that makes a browser fetch something
LOADED |= dict.fromkeys(('script', 'img', 'source', 'video', 'iframe', 'embed'), 'src')
HARMLESS = {'canonical', 'index', 'search', 'next', 'prev', 'author', 'copyright'}  # <link>s that no browser fetches


class Page(HTMLParser):
    "What a page says of itself: anchors, links, what it loads, pictures without alt text, tables that weren't made"
    def __init__(self, text):
        super().__init__()
        self.ids = set()
        self.links, self.loads, self.mute = [], [], []
        self.bars = bool(re.search(r'<p>\|[^<]*\|', text))
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        self.ids.update(filter(None, (a.get('id'), a.get('name'))))
        if tag == 'a' and a.get('href'): self.links.append(a['href'])
        says_something = (a.get('alt') or '').strip() or a.get('aria-hidden') == 'true'
        if tag == 'img' and not says_something: self.mute.append(a.get('src', '?'))
        is_harmless = tag == 'link' and set((a.get('rel') or '').split()) <= HARMLESS
        target = a.get(LOADED.get(tag, ''))
        if target and not is_harmless: self.loads.append(target)


def is_external(target): return target.startswith('//') or urlsplit(target).scheme in ('http', 'https')


def is_local(target): return not is_external(target) and not urlsplit(target).scheme


def dead(site, path, target, pages):
    "Why a link or a file does not lead anywhere, or None"
    parts = urlsplit(target)
    file = (site / path).parent / unquote(parts.path) if parts.path else site / path
    if file.is_dir(): file = file / 'index.html'
    if not file.exists(): return f'{target} does not exist'
    name = file.resolve().relative_to(site.resolve()).as_posix()
    if parts.fragment and name in pages and unquote(parts.fragment) not in pages[name].ids:
        return f'{target}: there is no such place on that page'


def of_page(site, path, pages):
    "Problems of one page"
    page = pages[path]
    problems = ['a table that stands there as text, with its bars'] if page.bars else []
    problems += [f'a picture without alt text: {source}' for source in page.mute]
    problems += [foreign(target) for target in page.loads if is_external(target)]
    why = [dead(site, path, target, pages) for target in page.links + page.loads if is_local(target)]
    return problems + [reason for reason in why if reason]


def foreign(target):
    return f'a request to another machine: {target}'


def of_style(text):
    "Problems of one style sheet"
    return [foreign(target) for target in re.findall(r'(?:url\(|@import)\s*["\']?((?:https?:)?//[^"\')\s]+)', text)]


def check(site):
    "All problems of a site, one line each"
    def texts(pattern):
        return {p.relative_to(site).as_posix(): p.read_text(encoding='utf-8') for p in sorted(site.rglob(pattern))}
    pages = {path: Page(text) for path, text in texts('*.html').items()}
    if 'index.html' not in pages: return [f'{site} holds no site: run make docs']
    found = {path: of_page(site, path, pages) for path in pages}
    found |= {path: of_style(text) for path, text in texts('*.css').items()}
    lines = [f'{path}: {problem}' for path, problems in found.items() for problem in dict.fromkeys(problems)]
    size = sum(p.stat().st_size for p in site.rglob('*') if p.is_file())
    if size > LIMIT: lines.append(f'the site has {size:,} bytes; {LIMIT:,} are allowed')
    return lines


if __name__ == '__main__':
    problems = check(Path(sys.argv[1]))
    print('\n'.join(problems) or f'{sys.argv[1]}: links, pictures and size are in order')
    sys.exit(bool(problems))
