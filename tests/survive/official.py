"Official checkpoints with wrong contents: `nvae import` gives the same network, or says why not"
import itertools
from pathlib import Path

from .common import FINE, Case, Verdict, command
from .models import Payload

ARGS = dict(dataset=(None, 3, [], 'my_cats', 'celeba_64', 'celeba_999999999', 'mnist', '', 'imagenet_32', {'a': 1},
                     'lsun_x_32', 'celeba_0'),
            num_latent_scales=(0, 300, 10**12, None, 'x', 1.5, -1), num_groups_per_scale=(10**4, 10**9, 0, '3'),
            num_channels_enc=(10**6, 0, None),
            num_channels_dec=(10**9,), num_mixture_dec=(10**9, 0, 'x', None), num_nf=(10**9, -1),
            num_x_bits=(0, 64, None), use_se=(None, 'x', 3),
            res_dist=(None, []), ada_groups=(None, 'x', True), min_groups_per_scale=(0, 10**9, None),
            arch_instance=(None, 'res_elu', 3, [], {}),
            num_preprocess_blocks=(10**12, 0, None, 9), num_cell_per_cond_enc=(10**9,), nosuch=(1,))
STATE = ('a NaN', 'a meta tensor', 'a sparse one', 'a quantised one', 'integers', 'complex', 'half', 'bfloat16',
         'another shape', 'one missing',
         'one too many', 'a key of a number', 'module. before all', 'model. before all', 'keys that control', 'empty',
         'a list', 'not tensors',
         'views of one storage', 'a long key', 'float64')
FILES = ('args missing', 'state_dict missing', 'args a list', 'args None', 'args a Namespace', 'numpy scalars beside',
         'a list', 'a tensor',
         'code', 'code in args', 'a plain pickle', 'empty', 'text', 'cut', 'a model of ours', 'a folder',
         'arch_instance of lists', 'args of numpy')
NAMES = ('(1).pt', '_c.pt', 'ä ö.pt', '.pt', '-c.pt', 'x' * 200 + '.pt', 'a b.pt', '2024.pt', 'bad-\udcff.pt',
         '\x1b[31m.pt', 'c', 'con.pt', '{x}.pt')


def cases(rng):
    "Every wrong content once, then two at a time"
    every = [('args', key, value) for key, values in ARGS.items() for value in values]
    every += [('state', how, None) for how in STATE] + [('file', how, None) for how in FILES]
    every += [('name', name, None) for name in NAMES]
    rng.shuffle(every)
    for kind, key, value in every: yield Case(f'{kind}: {key[:40]!a} {value!a}', dict(changes=[(kind, key, value)]))
    for number in itertools.count():
        changes = rng.sample([change for change in every if change[0] in ('args', 'state')], 2)
        yield Case(f'{number}: {changes!a}'[:120], dict(changes=changes))


def judge(case, given):
    import torch
    content, path = torch.load(given / 'official.pt', weights_only=True), Path('c.pt')
    for kind, key, value in case.data['changes']:
        if kind == 'args': content['args'][key] = value
        if kind == 'state': content['state_dict'] = _state(content['state_dict'], key)
        if kind == 'name': path = Path('./' + key)
        if kind == 'file': content = _file(content, key, given)
    if content is not None:
        with open(path, 'wb') as f: torch.save(content, f)
    verdict = command('import', f'./{path}', 'o.model')
    if Path('ran').exists(): return Verdict('lost', 'code in the file was run')
    if verdict.result != 'fine' or not Path('o.model').exists(): return verdict
    if 'NaN' in case.what and 'finite' not in verdict.words:
        return Verdict('unsaid', 'weights that are not finite are imported', 'import')
    used = command('sample', 'o.model', '0.7', '1', '--n', '1', '--out', 'o.png')
    return used if used.result != 'fine' else FINE


def _state(weights, how):
    "The state dict with something wrong"
    import torch
    if not isinstance(weights, dict): return weights  # an earlier change left nothing to change
    name = next(k for k in weights if weights[k].dim() == 4)
    v = weights[name]
    if not v.is_floating_point() or v.is_quantized: return weights
    with torch.no_grad():
        values = {
            'a NaN': lambda: v * torch.nan, 'a meta tensor': lambda: v.to('meta'), 'a sparse one': v.to_sparse,
            'integers': v.long,
            'a quantised one': lambda: torch.quantize_per_tensor(v.float(), .1, 0, torch.qint8),
            'complex': lambda: v.to(torch.complex64),
            'half': v.half, 'bfloat16': v.bfloat16, 'float64': v.double, 'another shape': lambda: v[:1],
            'not tensors': v.tolist,
            'views of one storage': lambda: torch.zeros(1).expand_as(v)}
        if how in values: return {**weights, name: values[how]()}
    before = {'module. before all': 'module.', 'model. before all': 'model.'}
    if how in before: return {before[how] + k: v for k, v in weights.items()}
    if how == 'one missing': return {k: v for k, v in weights.items() if k != name}
    extra = {'one too many': 'extra', 'a key of a number': 3, 'keys that control': '\x1b[31mred',
             'a long key': 'x' * 10**5}
    if how in extra: return {**weights, extra[how]: v}
    return [] if how == 'a list' else {}


def _file(content, how, given):
    "Other contents; None where the file is written already"
    import argparse
    import pickle

    import numpy
    import torch
    path, bad = Path('c.pt'), Payload(__import__('os').system, 'touch ran')
    cells = {'normal_enc': ['res_bnswish', 'res_bnswish'], 'normal_dec': ['mconv_e6k5g0']}
    others = {
        'args missing': {k: v for k, v in content.items() if k != 'args'}, 'args a list': dict(content, args=[1]),
        'state_dict missing': {k: v for k, v in content.items() if k != 'state_dict'},
        'args None': dict(content, args=None),
        'args a Namespace': dict(content, args=argparse.Namespace(**content['args'])), 'a list': [content],
        'a tensor': torch.zeros(3),
        'numpy scalars beside': dict(content, global_step=numpy.int64(3), loss=numpy.float64(.5)),
        'code': dict(content, more=bad),
        'code in args': dict(content, args=dict(content['args'], x=bad)),
        'arch_instance of lists': dict(content, arch_instance=cells),
        'args of numpy': dict(content, args=dict(content['args'], num_x_bits=numpy.int64(8)))}
    if how in others: return others[how]
    if how == 'a folder': return path.mkdir()
    whole = (given / 'official.pt').read_bytes()
    plain = {'a plain pickle': pickle.dumps(bad), 'empty': b'', 'text': b'hello', 'cut': whole[:len(whole) // 2]}
    path.write_bytes(plain.get(how) if how in plain else (given / 'm.model').read_bytes())
    return None
