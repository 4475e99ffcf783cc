"Plans, checked by --dry-run: exit code 2 and one line, or a table"
import itertools
import shutil
from pathlib import Path

from .common import Case, command
from .configs import ABSURD, HOSTILE, LIMITS, VALID, keys_of

NAMES = ('quickstart', 'tiny', 'nowhere', '', '../c.yaml', 'c.yaml', 'x' * 300, '~nosuchuser/c.yaml', '\x1b[31m', 3,
         None, [], '.')
THOUSAND = list(range(1, 1001))
ODD = {
    '10^9 runs': 'runs: [{config: quickstart, grid: {lr: %s, weight_decay: %s, seed: %s}}]' % ((THOUSAND,) * 3),
    '20,000 seeds': f'{{runs: [{{config: quickstart, seeds: {list(range(20000))}}}]}}',
    '20,000 entries': f"{{runs: [{', '.join(['{config: quickstart}'] * 20000)}]}}",
    'data of nobody': 'runs: [{config: quickstart, data: "~nosuchuser"}]', 'runs is a number': 'runs: 3',
    'nothing': 'runs: []',
    'an entry of null': 'runs: [null]', 'itself': 'runs: &a [{config: tiny, grid: {lr: *a}}]',
    'a word': 'runs: [tiny]',
    'large processes': 'runs: [{config: tiny, processes: 1000000000000}]',
    'a grid of one number': 'runs: [{config: tiny, grid: {lr: 1}}]',
    'samples': 'runs: [{config: tiny, sample: [{n: 1000000000000, iterations: 1000000000}]}]',
    'a sample of 20,000 temperatures': f'runs: [{{config: tiny, sample: {{temperature: {[.5] * 20000}}}}}]',
    'evaluate': 'runs: [{config: tiny, evaluate: {importance_samples: 1000000000000, limit: 1000000000000}}]',
    'equal names': 'runs: [{config: tiny}, {config: tiny}]',
    'a name with a slash': 'runs: [{config: tiny, name: a/b}]',
    'a name with control signs': 'runs: [{config: tiny, name: "a\\e[31m"}]',
    'a grid over name': 'runs: [{config: tiny, grid: {name: [a]}}]',
    'a grid over model': 'runs: [{config: tiny, grid: {model: [{n_scales: 2}]}}]',
    'keys that are no text': 'runs: [{1: 2, on: 3}]',
    'overrides of lists': 'runs: [{config: tiny, overrides: [lr=1]}]',
    'a deep value': 'runs: [{config: tiny, grid: {lr: ' + '[' * 400,
    'a folder': 'runs: [{config: tiny, data: photos}]', 'a large seed': f'runs: [{{config: tiny, seeds: [{2**64}]}}]',
    'seeds of floats': 'runs: [{config: tiny, seeds: [.inf, .nan]}]',
    'names that meet': 'runs: [{config: tiny, grid: {lr: [0.1, 0.10]}}]',
}


def cases(rng):
    "Entries of many kinds, and odd and hostile files among them"
    odd = [*ODD.items(), *((f'hostile: {what}', text) for what, text in HOSTILE.items())]
    rng.shuffle(odd)
    keys = [f'{section}.{key}' for section, names in keys_of().items() for key in names]
    keys += ['lr', 'seed', 'no.such', '', 'name', 'model']
    for number in itertools.count():
        if odd:
            what, text = odd.pop()
            yield Case(what, dict(text=text))
        plan = dict(runs=[_entry(rng, keys) for _ in range(rng.choice((1, 1, 2, 3)))], **_shared(rng, keys))
        yield Case(f'{number}: {plan!a}'[:160], dict(plan=plan))


def _value(rng):
    return rng.choice(rng.choice((VALID, VALID, LIMITS, ABSURD)))


def _entry(rng, keys):
    entry = dict(config=rng.choice(NAMES[:2] * 8 + NAMES), **_shared(rng, keys))
    if rng.random() < .2: entry['name'] = rng.choice(('a', 'b', 'a/b', '', 3, 'ä', 'a b', '..', 'x' * 300))
    return entry


def _shared(rng, keys):
    "Some of the keys that entries and plans share"
    made = dict(
        overrides=lambda: {rng.choice(keys): _value(rng) for _ in range(rng.choice((1, 2)))},
        grid=lambda: {rng.choice(keys): [_value(rng) for _ in range(rng.choice((1, 2, 3)))]},
        seeds=lambda: rng.choice(([0, 1], [], 3, [-1], [2**63], [0, 0], ['a'], None)), processes=lambda: _value(rng),
        data=lambda: rng.choice(('photos', 'mnist', 'nowhere', '~nosuchuser', '', 3, None, 'x' * 300)),
        evaluate=lambda: rng.choice((True, False, None, {}, dict(limit=_value(rng)), dict(seed=_value(rng)), 3, [])),
        sample=lambda: rng.choice((True, False, None, {}, dict(temperature=_value(rng)), [dict(n=_value(rng))], 3,
                                   [3])))
    chosen = {key: make() for key, make in made.items() if rng.random() < .2}
    if rng.random() < .05: chosen['nosuchkey'] = 1
    return chosen


def judge(case, given):
    "Nothing is started"
    import yaml
    shutil.copytree(given / 'photos', 'photos')
    text = case.data['text'] if 'text' in case.data else yaml.safe_dump(case.data['plan'], allow_unicode=True)
    Path('p.yaml').write_bytes(text if isinstance(text, bytes) else text.encode('utf-8', 'surrogatepass'))
    Path('c.yaml').write_text('model: {n_scales: 2}')
    return command('schedule', 'p.yaml', '--dry-run', '--runs', 'runs')
