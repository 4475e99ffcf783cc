"Command lines with bad values: exit code 2 and one line, or 0; no traceback, no flood, no waiting"
import shutil

from .common import Case, command

NUMBERS = ('-1', '0', '1', '2', '3', '0.5', '1e3', '1e9', '1000000000', '1000000000000', str(2**63 - 1), str(2**63),
           str(2**64),
           '9' * 400, 'nan', 'inf', '-inf', '1e400', '', ' ', 'x', '0x10', '1_000', '１', '٣', '1,', ',', '0.7,0.7',
           '0.7,0.7,0.7',
           '0.7,nan', '1' + ',1' * 2000, '+1', '1.0', '-0', '1e-400', '1726000000123456789')
FILES = ('m.model', 'm.checkpoint', 'x.png', 'a.png', 'b.png', 'picks.json', 'official.pt', 'photos', 'c.yaml',
         'demo', 'nowhere',
         '', '.', '..', '/', '~', '~nosuchuser', '~nosuchuser/m.model', 'x' * 300, 'x/' * 3000, 'bad-\udcff', 'a\nb',
         '\x1b[31mred',
         '{config}', '%s', '-', '--', '/dev/null', '/dev/zero', '/proc/self/mem', 'm.model/', 'm.model\u202e',
         'empty.model',
         'ä ö.png', 'runs', 'https://example.org/m.model')
WORDS = ('z', 'noise', 'linear', 'spherical', 'mean', 'sample', '', 'Z', 'scale 0', 'scale 9', 'scale -1', 'scale x',
         '0', '-1', '99',
         '1,1', '0,0', '1', '1,2,3', 'x,y', '9' * 300, '１', 'scale 0x0', 'nan', '1e9,1e9')
SETS = ('channels=8', 'channels', '=', '=1', 'channels=', 'no.such=1', 'model=1', 'train.lr=.inf', 'lr=2001-99-99',
        'lr=!!int x',
        'lr=[' * 3, 'lr=' + '[' * 1000, 'epochs=1e400', 'seed=' + '9' * 5000, 'name=2024', 'name=a/b', 'name=..',
        'data.root=~nosuchuser',
        'betas=[2,2]', 'n_groups=1000000000', 'image_size=1073741824', 'n_scales=1000000000000',
        'n_pre_blocks=1000000000000',
        'description=\udcff', 'lr=*a', 'lr=&a [*a]', 'lr=!!python/name:os.system', 'x' * 500 + '=1',
        'model.model.n_scales=1', '.=1')
WHERE = ('photos', 'mnist', 'embedded', 'nowhere', '', '~nosuchuser', 'bad-\udcff', 'm.model', '/dev/null', 'x' * 300,
         'empty', 'folder')
LINES = {  # verb: (positional pools, options with their pools; None: a switch)
    'configs': (('CONFIG', 'CONFIG'), {'--json': None}),
    'train': (('NO CONFIG',), {'--set': SETS, '--data': WHERE, '--processes': NUMBERS, '--runs': FILES,
                               '--fresh': None, '--init': FILES, '--init-partial': None}),
    'schedule': (('NO PLAN',), {'--slots': NUMBERS, '--cluster': FILES, '--runs': FILES, '--dry-run': None}),
    'runs': ((), {'--tail': FILES, '--stop': FILES, '--runs': FILES, '--json': None}),
    'sample': (('FILE', 'T', 'ITER'), {'--n': NUMBERS, '--seed': NUMBERS, '--pixels': WORDS, '--out': FILES,
                                       '--like': FILES,
                                       '--sweep': NUMBERS}),
    'info': (('FILE',), {'--json': None}),
    'interpolate': (('FILE', 'IMAGE', 'IMAGE', 'N'),
                    {'--space': WORDS, '--path': WORDS, '--group': WORDS, '--out': FILES}),
    'mix': (('FILE', 'IMAGE', 'IMAGE'), {'--out': FILES}),
    'reconstruct': (('FILE', 'IMAGE'), {'--groups': NUMBERS, '--temperature': NUMBERS, '--sample': None,
                                        '--seed': NUMBERS,
                                        '--out': FILES}),
    'restore': (('FILE', 'IMAGE'), {'--mask': ('mask.png', *FILES), '--enlarge': NUMBERS, '--noise': NUMBERS,
                                    '--answers': NUMBERS, '--temperature': NUMBERS, '--seed': NUMBERS, '--out': FILES}),
    'explore': (('FILE', 'T', 'ITER'), {'--group': WORDS, '--n': NUMBERS, '--strength': NUMBERS, '--cell': WORDS,
                                        '--pixels': WORDS,
                                        '--seed': NUMBERS, '--difference': None, '--out': FILES}),
    'direction': (('FILE', 'OUT'), {'--from': WHERE, '--to': WHERE, '--pca': NUMBERS, '--without': FILES,
                                    '--group': WORDS, '--data': WHERE, '--limit': NUMBERS}),
    'slide': (('FILE', 'IMAGE'), {'--direction': FILES, '--amount': NUMBERS, '--n': NUMBERS, '--group': WORDS,
                                  '--seed': NUMBERS, '--temperature': NUMBERS, '--iterations': NUMBERS,
                                  '--pixels': WORDS, '--out': FILES}),
    'evaluate': (('FILE',), {'--data': WHERE, '--importance-samples': NUMBERS, '--limit': NUMBERS,
                             '--batch-size': NUMBERS, '--split': WORDS, '--redraw': None, '--fresh': None,
                             '--seed': NUMBERS, '--temperature': NUMBERS, '--json': None}),
    'encode': (('FILE', 'WHERE', 'ARRAYS'), {'--groups': NUMBERS, '--space': WORDS, '--split': WORDS, '--sample': None,
                                             '--flat': None, '--batch-size': NUMBERS, '--seed': NUMBERS}),
    'score': (('FILE', 'WHERE'), {'--groups': NUMBERS, '--against': WHERE, '--importance-samples': ('0', '1', '2', 'x'),
                                  '--map': None, '--split': WORDS, '--out': ('a.csv', *FILES), '--fresh': None,
                                  '--batch-size': NUMBERS, '--seed': NUMBERS, '--json': None}),
    'decode': (('FILE', 'FILE', 'FOLDER'), {'--rest': WORDS, '--temperature': NUMBERS, '--anyway': None,
                                            '--batch-size': NUMBERS, '--seed': NUMBERS}),
    'import': (('FILE', 'OUT'), {}),
    'export': (('FILE', 'OUT'), {'--half': None}),
    'bench': ((), {'--config': FILES[:4], '--set': SETS, '--batch-size': NUMBERS, '--threads': NUMBERS,
                   '--seconds': NUMBERS}),
    'nosuchverb': ((), {}),
}
GOOD = dict(FILE='m.model', T='0.7', ITER='1', IMAGE='a.png', N='2', OUT='out.model', CONFIG='tiny', WHERE='photos',
            ARRAYS='out.safetensors', FOLDER='again')
POOLS = dict(WHERE=WHERE, ARRAYS=FILES, FOLDER=FILES)
POOLS |= dict(FILE=FILES, T=NUMBERS, ITER=NUMBERS, IMAGE=FILES, N=NUMBERS, OUT=FILES, CONFIG=FILES)
POOLS['NO CONFIG'] = tuple(name for name in FILES if name not in ('demo', 'c.yaml'))  # nothing is trained or measured
POOLS['NO PLAN'] = FILES
SMALL = {'sample': ('--n', '1'), 'explore': ('--n', '1'), 'bench': ('--config', 'nowhere'),
         'evaluate': ('--data', 'photos')}


def cases(rng):
    "A verb, its arguments mostly good, one or two bad values"
    while True:
        verb = rng.choice(list(LINES))
        positional, options = LINES[verb]
        args = [_argument(rng, kind) for kind in positional]
        chosen = {}
        for name in rng.sample(sorted(options), min(len(options), rng.choice((0, 1, 1, 2)))):
            chosen[name] = options[name] and rng.choice(options[name])
        if rng.random() < .08: args = args[:-1]
        if rng.random() < .05: args += [rng.choice(FILES)]
        if verb in SMALL: chosen = {SMALL[verb][0]: SMALL[verb][1], **chosen}
        line = [verb, *args]
        for name, value in chosen.items(): line += [name] if value is None else [name, value]
        yield Case(' '.join(ascii(word[:50])[1:-1] for word in line), dict(line=line))


def pieces(case):
    "What can be left out: places in the line, the verb's aside"
    return list(range(1, len(case.data['line'])))


def with_pieces(case, kept):
    line = [case.data['line'][0], *(case.data['line'][place] for place in kept)]
    return Case(' '.join(ascii(word[:50])[1:-1] for word in line), dict(line=line))


def _argument(rng, kind):
    "Mostly a good one"
    return GOOD[kind] if kind in GOOD and rng.random() > .25 else rng.choice(POOLS[kind])


def judge(case, given):
    "In a folder with good files under the names that are used"
    for name in FILES[:7]: shutil.copy(given / name, name)
    shutil.copytree(given / 'photos', 'photos')
    open('empty.model', 'w').close()
    open('c.yaml', 'w').write('model: {n_scales: 2}')
    return command(*case.data['line'])
