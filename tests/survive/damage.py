"Damaged files: what is read is refused in words or exactly what was written, and a run goes on from the one before"
import json
import os
import shutil
import struct
import zipfile
from pathlib import Path

from . import kit
from .common import FINE, Case, Verdict, command, of_command, of_exception
from .materials import rng_of

HOW = ('a bit flipped', 'two blocks swapped', 'a block zeroed', 'cut')
FILES = {  # kind: (its file among the materials, regions to hit)
    'model': ('m.model', ('all', 'length', 'header', 'tensors')),
    'checkpoint': ('m.checkpoint', ('all', 'pickle', 'tensors', 'names', 'directory')),
    'best': ('whole/small/small.best.checkpoint', ('all', 'pickle', 'tensors', 'names', 'directory')),
    'resumed': ('parts/small/small.checkpoint', ('all', 'pickle', 'tensors', 'names', 'directory')),
    'cache': ('', ('pixels.u8', 'sizes.npy', 'info.json')),
    'picks': ('picks.json', ('all', 'recipe', 'end')),
    'recipe': ('x.png', ('all', 'recipe', 'end')),
    'metrics': ('metrics.jsonl', ('all', 'end')),
    'status': ('status.json', ('all', 'end')),
    'config': ('config.yaml', ('all', 'end')),
    'lock': ('.lock', ('all',)),
}


def cases(rng):
    "Every kind and region in turn, then again with other places"
    combinations = [(kind, region, how) for kind, (_, regions) in FILES.items() for region in regions for how in HOW]
    round_of = 0
    while True:
        rng.shuffle(combinations)
        for kind, region, how in combinations:
            data = dict(kind=kind, region=region, how=how, seed=rng.randrange(10**9))
            yield Case(f'{kind}: {how} in {region}, round {round_of}', data)
        round_of += 1


def judge(case, given):
    "Damage a copy, read it"
    kind = case.data['kind']
    if kind == 'cache': return _cache(case, given)
    if kind == 'resumed': return _resumed(case, given)
    if kind in ('picks', 'recipe'): return _drawn_again(case, given)
    if kind in ('metrics', 'status', 'config', 'lock'): return _small_file(case, given)
    return _contents(case, given)


def regions(path)->dict:
    "Named parts of a file: (start, end)"
    content = path.read_bytes()
    found = dict(all=(0, len(content)), end=(len(content) * 9 // 10, len(content)))
    if path.suffix == '.model':
        end = 8 + struct.unpack('<Q', content[:8])[0]
        found |= dict(length=(0, 8), header=(8, end), tensors=(end, len(content)))
    elif path.suffix == '.checkpoint':
        found |= _members(path, content)
    elif b'"recipe' in content:
        start = content.index(b'"recipe')
        found |= dict(recipe=(start, start + 300))
    return found


def _members(path, content):
    "Parts of a zip archive"
    with zipfile.ZipFile(path) as archive:
        members = {m.filename.rpartition('/')[2]: m for m in archive.infolist()}
        directory = archive.start_dir
    begins = {name: m.header_offset + 30 + len(m.filename) for name, m in members.items()}
    pickled, (name, largest) = members['data.pkl'], max(members.items(), key=lambda item: item[1].file_size)
    start = begins['data.pkl']
    start = content.index(b'\x80', start)
    first = begins[name] + 64
    return dict(pickle=(start, start + pickled.file_size), tensors=(first, first + largest.file_size),
                names=(largest.header_offset, largest.header_offset + 90), directory=(directory, len(content)))


def damage(path, region, how, seed):
    "Change the file; what is changed is told"
    rng, content = rng_of(seed), bytearray(path.read_bytes())
    if not content: content = bytearray(b'{')
    before = bytes(content)
    start, end = regions(path).get(region, (0, len(content)))
    end = min(end, len(content))
    for _ in range(100):
        size = rng.choice((1, 4, 16, 64, 512))
        a, b = (rng.randrange(start, max(start + 1, end - size + 1)) for _ in range(2))
        if how == 'a bit flipped':
            content[a] ^= 1 << rng.randrange(8)
        elif how == 'two blocks swapped' and abs(a - b) >= size:
            content[a:a + size], content[b:b + size] = content[b:b + size], content[a:a + size]
        elif how == 'a block zeroed':
            content[a:a + size] = bytes(len(content[a:a + size]))
        elif how == 'cut':
            del content[a:]
        if bytes(content) != before: break
    path.write_bytes(content)
    return f'bytes {a}, {b} ({size}) of {len(before)}'


def damaged(case, source, to):
    "A damaged copy"
    shutil.copy(source, to)
    return damage(to, case.data['region'], case.data['how'], case.data['seed'])


def _contents(case, given):
    "A model or a checkpoint, read whole and for use"
    source = given / FILES[case.data['kind']][0]
    path = Path('m' + source.suffix)
    place = damaged(case, source, path)
    for read in (kit.contents, _for_use):
        try:
            differing = kit.differences(read(path), read(source))
        except Exception as error:
            verdict = of_exception(error)
            if verdict.result != 'fine': return verdict
            continue
        if differing: return Verdict('unsaid', f'{place}: other contents are believed: {differing[:3]}',
                                     read.__name__)
    return FINE


def _for_use(path):
    model = kit.load(path, 'cpu')
    return dict(model.state_dict(), facts=model.facts, config=model.config.to_dict())


def _resumed(case, given):
    "A damaged newest checkpoint: the run ends as it would have, from the one before, which is said"
    shutil.copytree(given / 'parts', 'parts')
    path = Path('parts/small/small.checkpoint')
    place = damage(path, case.data['region'], case.data['how'], case.data['seed'])
    is_same = _reads_same(path, given / 'parts/small/small.checkpoint')
    _, said = kit.train(kit.config(), 'parts')
    differing = kit.run_differences('parts/small', given / 'whole/small')
    if differing: return Verdict('unsaid', f'{place}: trained on to other weights: {differing[:3]}', 'resume')
    if not is_same and 'small.checkpoint' not in said:
        return Verdict('unsaid', f'{place}: which checkpoint was taken is not said: {said[-200:]!r}', 'resume')
    return FINE


def _reads_same(path, other):
    try:
        return not kit.differences(kit.contents(path), kit.contents(other))
    except Exception:
        return False


def _cache(case, given):
    "The decoded images of a folder"
    cfg = kit.config(data=dict(dataset='folder', root=str(given / 'photos')), batch_size=4)
    whole = _batches(cfg)
    for part in Path(os.environ['NVAE_CACHE']).glob('images-*'):
        path = part / case.data['region']
        place = damage(path, 'all', case.data['how'], case.data['seed'])
        if case.data['seed'] % 9 == 0: path.unlink()
    try:
        differing = kit.differences(_batches(cfg), whole)
    except Exception as error:
        return of_exception(error)
    return Verdict('unsaid', f'{place}: other images are believed', 'cache') if differing else FINE


def _batches(cfg):
    loaders = kit.dataloaders(cfg, progress=False)
    return [batch.clone() for split in (loaders.train, loaders.test) for batch in split.batches()]


def _drawn_again(case, given):
    "A recipe in a PNG or a file of picks"
    source = given / FILES[case.data['kind']][0]
    path = Path('p' + source.suffix)
    place = damaged(case, source, path)
    verdict = command('sample', '--like', path, given / 'm.model', '--out', 'again.png')
    whole = given / ('picks-again.png' if case.data['kind'] == 'picks' else 'x.png')
    if verdict.result != 'fine' or not Path('again.png').exists() or _pixels('again.png') == _pixels(whole):
        return verdict
    return Verdict('unsaid', f'{place}: other images are drawn', 'sample --like')


def _pixels(path):
    from PIL import Image
    with Image.open(path) as image: return image.size, image.tobytes()


def _small_file(case, given):
    "A small file of a run: other runs are still listed, and this one goes on or says why not"
    for name in 'ab': shutil.copytree(given / 'parts/small', f'runs/{name}')
    for name in 'ab':
        for path in Path(f'runs/{name}').glob('small.*'): path.rename(path.with_name(path.name.replace('small', name)))
    place = damage(Path('runs/a') / FILES[case.data['kind']][0], 'all', case.data['how'], case.data['seed'])
    said = kit.nvae('runs', '--runs', 'runs', '--json')
    verdict = of_command(said, ['runs', '--runs', 'runs', '--json'])
    if verdict.result != 'fine': return verdict
    if said.code or 'b' not in [row['name'] for row in json.loads(said.out)]:
        return Verdict('unsaid', f'{place}: another run is not listed: {verdict.words}', 'nvae runs')
    for line in (('runs', '--runs', 'runs'), ('runs', '--runs', 'runs', '--tail', 'a')):
        verdict = command(*line)
        if verdict.result != 'fine': return verdict
    kit.train(kit.config('a'), 'runs')
    return command('runs', '--runs', 'runs')
