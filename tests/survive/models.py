"Model files, checkpoints, recipes and picks with wrong contents: refused in words, in little memory"
import itertools
import json
import os
import shutil
import struct
import zipfile
from pathlib import Path

from . import kit
from .common import Case, Verdict, command

SIZES = dict(image_size=(32768, 2**30, 0, -16, 24, [16, 2**40], '16'), n_groups=(10**4, 10**9, 0, 2.5),
             n_scales=(300, 10**12, 0),
             channels=(10**6, 2**40, 3), z_channels=(10**9, 10**4, 0), n_mix=(10**9, 10**5),
             n_pre_blocks=(10**12, 64), n_flows=(10**9, 10**4),
             n_pre_cells=(10**9,), enc_cells=(10**9, 10**5), dec_cells=(10**9,), image_channels=(2, 10**9),
             likelihood=('x', None, 3),
             nosuchkey=(1,), group_divisor=(0, 10**30), channel_mult=(1e308, 1.1))
WRONG = (None, 3, -1, 2**70, 'x', [], [1], {}, {'a': 1}, True, 'NaN', '\x1b[31mred\ud800', 'x' * 10**5)
HEADERS = ('no metadata', 'a list', 'not JSON', 'brackets', 'longer than the file', 'huge', 'negative offsets',
           'overlapping', 'empty',
           'a version of the future', 'names that control', 'config is a list', 'config is not JSON',
           'config is missing', 'facts are a list',
           'facts that control', 'facts are brackets', 'duplicate names')
WEIGHTS = ('one missing', 'one too many', 'one of another shape', 'one of another kind', 'NaN', 'inf',
           'a name that controls', 'none',
           'all of them scalars', 'a long name', 'running variance inf', 'running variance negative',
           '10,000 too many')
CODE = ('os.system', 'builtins.exec', 'a plain pickle', 'a class of nobody', 'in the configuration', 'in the weights',
        'numpy')
CHECKPOINT = ('config', 'model', 'ema', 'optimizer', 'progress', 'data', 'facts', 'spectral', 'format', 'version',
              'scaler')
RECIPE = dict(n=(0, -1, 10**9, 2**70, 'x', None, [], 1.5), seed=(-1, 2**64, 2**70, 'x', None, 1.5, [1]),
              temperature=('ab', None, -1, 5, [], [1, 2, 3],
              [.5] * 10**4, {}), iterations=(-1, 10**9, 'x', None, 2.5), pixels=('x', None, 3), index=(99, -1, 'x'),
              variants_of=(10**9, -1, 'x'),
              difference=('x', None, 1e308), changes=(3, [3], [{}], [{'groups': [99]}],
                                                          [{'groups': ['x'], 'strength': 1, 'seed': 0}]),
              start=(3, {}, {'images': []}, {'images': ['x']}, {'images': ['']}, {'images': [3]}), walk=(True, 'x'),
              passage=(3, {}, {'space': 'z', 'path': 'linear'}, {'space': 'x'}), statistics_seed=(-1, 2**70, 'x'),
              nosuchkey=(1,))
GRID = ({'foo': 1}, 3, [], {'n_cols': 0}, {'n_cols': -1}, {'n_cols': 10**9}, {'n_cols': 'x'}, {'row_labels': 3},
        {'row_labels': [3]},
        {'row_labels': ['x' * 10**5]}, {'scale': 10**6}, {'pad': 10**6}, {'labels': ['a']})
PICKS = ('picks', 'made', 'seed', 'format', 'recipe', 'png', 'pixels_sha256', 'when')


def cases(rng):
    "Every wrong content in turn, then at random"
    every = [('size', key, value) for key, values in SIZES.items() for value in values]
    every += [('recipe', key, value) for key, values in RECIPE.items() for value in values]
    every += [('grid', '', value) for value in GRID] + [('header', how, None) for how in HEADERS]
    every += [('weights', how, None) for how in WEIGHTS] + [('code', how, None) for how in CODE]
    every += [('checkpoint size', key, value) for key in ('image_size', 'n_groups', 'n_scales',
                                                          'channels') for value in SIZES[key]]
    every += [('checkpoint', key, value) for key in CHECKPOINT for value in WRONG]
    every += [('picks', key, value) for key in PICKS for value in WRONG]
    every += [('archive', 'a deflated member', None), ('json', 'brackets', None), ('json', 'large', None)]
    every += [('meta', key, value) for key in ('model', 'sha256', 'recipes', 'grid', 'threads', 'device',
                                               'images') for value in WRONG]
    rng.shuffle(every)
    for number in itertools.count():
        kind, key, value = every[number] if number < len(every) else _random(rng)
        yield Case(f'{kind}: {key} {value!a}'[:90], dict(kind=kind, key=key, value=value))


def _random(rng):
    "A random value somewhere in a checkpoint or in picks"
    kind, keys = rng.choice((('checkpoint', CHECKPOINT), ('picks', PICKS)))
    return kind, rng.choice(keys), _deep(rng)


def _deep(rng, depth=0):
    "A random plain value"
    pick = rng.randrange(6 if depth < 3 else 4)
    if pick == 4: return [_deep(rng, depth + 1) for _ in range(rng.randrange(4))]
    if pick == 5: return {rng.choice('abcn'): _deep(rng, depth + 1) for _ in range(rng.randrange(4))}
    return rng.choice(WRONG[:5] + (rng.randrange(-9, 10**6), rng.random()))


def judge(case, given):
    "`nvae info`, `nvae sample` and `nvae export` of the file; nothing in it may run"
    kind, key, value = (case.data[k] for k in ('kind', 'key', 'value'))
    shutil.copy(given / 'm.model', 'm.model')
    verdict = JUDGES[kind](given, key, value)
    if Path('ran').exists(): return Verdict('lost', 'code in the file was run')
    return verdict


def _used(path, must_say=False):
    "What a person would do with a model's file"
    for line in (('info', path), ('sample', path, '0.7', '1', '--n', '1', '--out', 'o.png'),
                 ('export', path, 'o.model')):
        verdict = command(*line)
        if verdict.result != 'fine': return verdict
        if must_say and line[0] == 'export' and Path('o.model').exists() and 'finite' not in verdict.words:
            return Verdict('unsaid', f'weights that are not finite are written: {verdict.words}', line[0])
    return verdict


def split(path):
    "(header, data) of a safetensors file"
    content = Path(path).read_bytes()
    n = struct.unpack('<Q', content[:8])[0]
    return json.loads(content[8:8 + n]), content[8 + n:]


def join(path, header, data, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    Path(path).write_bytes(struct.pack('<Q', len(text) if length is None else length) + text + data)


def _size(given, key, value):
    header, data = split('m.model')
    cfg = json.loads(header['__metadata__']['config'])
    cfg['model'][key] = value
    header['__metadata__']['config'] = json.dumps(cfg)
    join('bad.model', header, data)
    return _used('bad.model')


def _header(given, how, _):
    "Of a safetensors file"
    header, data = split('m.model')
    meta, first = header['__metadata__'], next(k for k in header if k != '__metadata__')
    changes = {
        'a version of the future': dict(version='999'), 'config is a list': dict(config='[1]'),
        'config is not JSON': dict(config='{'),
        'facts are a list': dict(facts='[1]'), 'facts that control': dict(facts='{"note": "\\u001b[31m\\ud800"}'),
        'facts are brackets': dict(facts='[' * 10**5)}
    meta.update(changes.get(how, {}))
    if how == 'config is missing': del meta['config']
    if how == 'no metadata': del header['__metadata__']
    if how == 'negative offsets': header[first]['data_offsets'] = [-4, 4]
    if how == 'overlapping': header[first]['data_offsets'] = [0, len(data)]
    if how == 'names that control': header['\x1b[31m\ud800'] = header.pop(first)
    texts = {'a list': b'[1]', 'not JSON': b'{{{', 'brackets': b'[' * 10**5, 'empty': b''}
    if how == 'duplicate names':
        texts[how] = json.dumps(header).replace('{"__meta', '{"__metadata__": {}, "__meta').encode()
    lengths = {'longer than the file': 10**7, 'huge': 2**63}
    join('bad.model', texts.get(how, header), data, lengths.get(how))
    return _used('bad.model')


def _weights(given, how, _):
    "Of a model"
    import torch
    from safetensors.torch import load_file, save_file
    weights, meta = load_file('m.model'), split('m.model')[0]['__metadata__']
    name = next(k for k in weights if weights[k].dim() == 4)
    variance = next(k for k in weights if k.endswith('running_var'))
    if how == 'one missing': del weights[name]
    if how == 'one too many': weights['extra'] = torch.zeros(3)
    if how == '10,000 too many': weights |= {f'extra{i}': torch.zeros(1) for i in range(10**4)}
    if how == 'one of another shape': weights[name] = torch.zeros(3)
    if how == 'one of another kind': weights[name] = weights[name].to(torch.int64)
    if how == 'NaN': weights[name].fill_(torch.nan)
    if how == 'inf': weights[name].view(-1)[0] = torch.inf
    if how == 'running variance inf': weights[variance][0] = torch.inf
    if how == 'running variance negative': weights[variance][0] = -1
    if how == 'a name that controls': weights['\x1b[31mred'] = torch.zeros(1)
    if how == 'a long name': weights['x' * 10**5] = torch.zeros(1)
    if how == 'none': weights = {}
    if how == 'all of them scalars': weights = {k: torch.tensor(0.) for k in weights}
    save_file(weights, 'bad.model', meta)
    return _used('bad.model', must_say=how in ('NaN', 'inf', 'running variance inf'))


class Payload:
    "Runs a program when it is unpickled"
    def __init__(self, call, *args): self.call = call, args
    def __reduce__(self): return self.call


def _code(given, how, _):
    "Pickled code in a checkpoint"
    import pickle

    import numpy
    import torch
    content = torch.load(given / 'm.checkpoint', weights_only=True)
    bad = Payload(os.system, 'touch ran') if how != 'builtins.exec' else Payload(exec, 'open("ran", "w")')
    places = {'in the configuration': ('config', bad), 'in the weights': ('model', bad),
              'numpy': ('facts', {'n': numpy.float64(3)})}
    if how == 'a plain pickle':
        Path('bad.checkpoint').write_bytes(pickle.dumps(bad))
    else:
        key, value = places.get(how, ('more', bad if how != 'a class of nobody' else zipfile.ZipInfo('x')))
        torch.save(dict(content, **{key: value}), 'bad.checkpoint')
    return _used('bad.checkpoint')


def _checkpoint(given, key, value):
    "A wrong value in a checkpoint, used and resumed"
    import torch
    content = torch.load(given / 'parts/small/small.checkpoint', weights_only=True)
    content[key] = value
    return _written(given, content)


def _written(given, content):
    import torch
    torch.save(content, 'bad.checkpoint')
    verdict = _used('bad.checkpoint')
    if verdict.result != 'fine': return verdict
    shutil.copytree(given / 'parts/small', 'runs/small')
    for name in ('small.previous.checkpoint', 'small.best.checkpoint'): Path('runs/small', name).unlink(missing_ok=True)
    shutil.copy('bad.checkpoint', 'runs/small/small.checkpoint')
    kit.train(kit.config(epochs=1.6), 'runs')
    return command('runs', '--runs', 'runs')


def _checkpoint_size(given, key, value):
    import torch
    content = torch.load(given / 'm.checkpoint', weights_only=True)
    content['config']['model'][key] = value
    return _written(given, content)


def _archive(given, how, _):
    "A member that is small on disk and 8 GB when it is unpacked"
    zeros = bytes(2**20)
    deflating = zipfile.ZipFile('bad.checkpoint', 'w', zipfile.ZIP_DEFLATED, compresslevel=1)
    with zipfile.ZipFile(given / 'm.checkpoint') as old, deflating as new:
        for member in old.infolist():
            if not member.filename.endswith('data/0'):
                new.writestr(member.filename, old.read(member), zipfile.ZIP_STORED)
                continue
            with new.open(member.filename, 'w', force_zip64=True) as f:
                for _ in range(1500): f.write(zeros)
    return _used('bad.checkpoint')


def _png_text(meta, given):
    "x.png with another text"
    from PIL import Image, PngImagePlugin
    with Image.open(given / 'x.png') as image:
        info = PngImagePlugin.PngInfo()
        info.add_text('nvae', meta if isinstance(meta, str) else json.dumps(meta))
        image.save('bad.png', pnginfo=info)


def _meta(given):
    from PIL import Image
    with Image.open(given / 'x.png') as image: return json.loads(image.text['nvae'])


def _again(path):
    return command('sample', '--like', path, 'm.model', '--out', 'o.png')


def _recipe(given, key, value):
    meta = _meta(given)
    for recipe in meta['recipes']: recipe[key] = value
    _png_text(meta, given)
    return _again('bad.png')


def _grid(given, _, value):
    _png_text(dict(_meta(given), grid=value), given)
    return _again('bad.png')


def _meta_key(given, key, value):
    _png_text(dict(_meta(given), **{key: value}), given)
    verdict = _again('bad.png')
    if verdict.result != 'fine': return verdict
    return command('sample', '--like', 'bad.png', '--out', 'o.png')


def _picks(given, key, value):
    content = json.loads((given / 'picks.json').read_text())
    if key in content:
        content[key] = value
    else:
        content['picks'][0][key] = value
    Path('bad.json').write_text(json.dumps(content))
    return _again('bad.json')


def _json(given, how, _):
    large = json.dumps(dict(format='nvae.picks', x='x' * 3 * 10**7))
    Path('bad.json').write_text('[' * 10**5 if how == 'brackets' else large)
    verdict = _again('bad.json')
    if verdict.result != 'fine': return verdict
    _png_text('[' * 10**5 if how == 'brackets' else json.dumps(dict(x='x' * 4 * 10**6)), given)
    return _again('bad.png')


JUDGES = {'size': _size, 'header': _header, 'weights': _weights, 'code': _code, 'checkpoint': _checkpoint,
          'archive': _archive,
          'checkpoint size': _checkpoint_size, 'recipe': _recipe, 'grid': _grid, 'meta': _meta_key, 'picks': _picks,
          'json': _json}
