"Configurations: each is refused in words, or is trained, stopped, resumed, saved, loaded and sampled"
import itertools
import json
import math
import signal
from pathlib import Path

from . import kit
from .common import FINE, Case, Verdict, command, of_exception

ROOT = Path(__file__).resolve().parents[2]
BASE = dict(model=kit.MODEL, data=dict(n_train=24, n_test=8), train={**kit.TRAIN, 'epochs': 1, 'batch_size': 4})
VALID = (1, 2, 3, 4, 8, 16, 0.1, 0.5, 0.9, True, False, None, 1e-3)
LIMITS = (0, -1, 1, 2, 5, 7, 31, 100, 1e-12, 0.999999, 1.5, 4.0, '', 'none', [16, 32], [16], [0.9, 0.999], [1, 1], [],
          {})
ABSURD = (10**4, 32768, 2**31, 2**63, 2**64, 10**12, 10**30, 1e308, math.inf, -math.inf, math.nan, -10**9, 'x' * 5000,
          '\0',
          [2, -1], [math.nan, 2], [[1]], {'a': 1}, '1e-3', '０', ' 3', '3 ', '~nosuchuser', '\x1b[31mred', '../up',
          [1] * 999)
HOSTILE = {
    'a date that is none': 'name: 2001-99-99', 'a date': 'name: 2001-01-01', 'int of no digits': 'name: !!int x',
    'bool of no bool': 'train: {kl_balancing: !!bool x}', 'float of no float': 'train: {lr: !!float x}',
    'a key that is true': 'on: 2', 'a key that is null': 'null: 2', 'a key that is a list': '? [a, b]\n: 2',
    'a key that is a number in model': 'model: {1: 2}', 'a key twice': 'model: {n_scales: 2, n_scales: 3}',
    'a section twice': 'model: {}\nmodel: {n_scales: 3}', 'many digits': f"train: {{seed: {'9' * 5000}}}",
    'many digits in a float': f"train: {{lr: 0.{'1' * 5000}}}", 'brackets': '[' * 1000, 'braces': '{' * 1000,
    'closed brackets': 'name: ' + '[' * 3000 + ']' * 3000, 'brackets under model': 'model: {n_scales: ' + '[' * 900,
    'lone surrogate': r'description: "\ud800"', 'control signs': r'description: "\e[31m\x07"', 'NUL': 'name: "\\0"',
    'a tag of Python': 'name: !!python/object/apply:os.system ["touch ran"]', 'an unknown tag': 'name: !foo 1',
    'binary': 'name: !!binary "////"', 'set': 'model: !!set {n_scales, n_groups}',
    'ordered map': 'model: !!omap [n_scales: 2]',
    'pairs': 'model: !!pairs [n_scales: 2]', 'merge of no map': 'model: {<<: 3}',
    'merge': 'model: {<<: {n_scales: 1}}',
    'itself': 'model: &a {n_scales: *a}', 'itself in a list': 'model: &a [*a]', 'unknown anchor': 'name: *b',
    'laughs': 'a0: &a0 [x, x, x, x, x, x, x, x, x]\n' + ''.join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)) + 'model: *a8',
    'laughs in a description': 'description: &a [x, x]\nmodel: {n_scales: [*a, *a, *a]}', 'empty': '',
    'a comment': '# nothing',
    'two documents': 'name: a\n---\nname: b', 'a list': '- name: a', 'a number': '3', 'tabs': 'model:\n\tn_scales: 2',
    'large': 'description: ' + 'x' * 3_000_000, 'long list': 'model: [' + '1, ' * 200_000 + ']',
    'sexagesimal': 'name: 12:30:00',
    'octal': 'train: {batch_size: 010}', 'a name with a slash': 'name: a/b', 'a long name': 'name: ' + 'x' * 300,
    'a name of dots': 'name: ..', 'a name that ends a line': 'name: "a\\n"',
    'a name in another script': 'name: ätsch',
    'a name with marks': 'name: "a\u0301"', 'bytes that are no UTF-8': b'name: \xff\xfe',
    'UTF-16': 'name: a'.encode('utf-16'),
    'a mark of UTF-8': '\ufeffname: a', 'other line ends': 'name: a\r\nmodel: {}\r',
    'time': 'name: 2001-12-14t21:59:43.10-05:00',
    'an hour that is none': 'name: 2001-12-14 99:59:43', 'value': 'name: =',
    'sections of null': 'model: \ntrain: \ndata: ',
}


def keys_of()->dict:
    "Section: its keys"
    schema = json.loads((ROOT / 'model_configs/schema.json').read_text())
    parts = schema['$defs']
    return {name: sorted(parts[f'{name.title()}Config']['properties']) for name in ('model', 'data', 'train')}


def cases(rng):
    "Changes of one to four keys, and hostile files among them"
    keys, hostile = keys_of(), rng.sample(list(HOSTILE.items()), len(HOSTILE))
    for number in itertools.count():
        if hostile:
            what, text = hostile.pop()
            yield Case(f'hostile: {what}', dict(text=text))
        changes = {}
        for _ in range(rng.choice((1, 1, 2, 3, 4))):
            section = rng.choice(('model', 'model', 'data', 'train', 'train'))
            changes[section, rng.choice(keys[section])] = rng.choice(rng.choice((VALID, VALID, LIMITS, ABSURD)))
        told = ', '.join(f'{section}.{key}={value!a}'[:60] for (section, key), value in changes.items())
        yield Case(f'{number}: {told}', dict(changes=changes))


def pieces(case):
    "What can be left out: changes, none where the file is one piece"
    return list(case.data.get('changes', ()))


def with_pieces(case, kept):
    if 'text' in case.data: return case
    changes = {key: case.data['changes'][key] for key in kept}
    return Case(f'{case.what}, only {kept}', dict(changes=changes))


def as_yaml(changes):
    "The small configuration with those changes"
    import yaml
    cfg = {section: dict(values) for section, values in BASE.items()}
    for (section, key), value in changes.items(): cfg[section][key] = value
    return yaml.safe_dump(cfg, allow_unicode=True)


def judge(case, given):
    "Load; where that works and it is small, use it"
    text = case.data['text'] if 'text' in case.data else as_yaml(case.data['changes'])
    Path('c.yaml').write_bytes(text if isinstance(text, bytes) else text.encode('utf-8', 'surrogatepass'))
    verdict = command('configs', 'c.yaml')
    if Path('ran').exists(): return Verdict('lost', 'code in the file was run')
    if verdict.result != 'fine': return verdict
    said = kit.nvae('configs', 'c.yaml', '--json')
    if said.code: return verdict
    doubled = 'twice' in case.what
    if doubled: return Verdict('unsaid', 'the second of two equal keys counts', 'read_yaml')
    row = json.loads(said.out)[0]
    cfg = kit.load_config('c.yaml')
    if 'text' in case.data or row['memory'] > 3e8 or not _is_small(cfg): return FINE
    return _lived(cfg)


def _is_small(cfg):
    d = cfg.data
    return d.dataset != 'embedded' or (d.n_train or 20000) <= 200 and (d.n_test or 2000) <= 200


def _lived(cfg):
    "One step, stop, resume, save, load, sample"
    try:
        model = _trained(cfg)
        kit.save(model, 'm.model')
        kit.sample_images(kit.load('m.model', 'cpu'), 2, .7, 1)
    except (kit.BadInput, kit.TrainingFailed) as error:
        words = str(error)
        return FINE if 'finite' in words else Verdict('fine', words)
    except Exception as error:
        return of_exception(error)
    steps = [json.loads(line)['step'] for line in Path('runs', cfg.name, 'metrics.jsonl').read_text().splitlines()]
    if not max(steps): return Verdict('unsaid', 'says that it is done and took no step', 'fit')
    return Verdict('fine', 'trained, stopped, resumed, saved, loaded, sampled')


def _trained(cfg):
    "Stopped after each of the first two steps, then once more"
    for steps in (1, 1):
        run = kit.open_run(cfg, 'runs')
        try:
            return kit.fit(cfg, run, kit.dataloaders(cfg, progress=False),
                           watch=kit.stop_after(steps, signal.SIGTERM))
        except kit.Interrupted:
            continue
    return kit.load(Path('runs', cfg.name, f'{cfg.name}.checkpoint'), 'cpu')
