"What the trials damage, replace and read: made once for a session of trials"
import random
import signal
from pathlib import Path

from . import kit


def picture(path, seed=0, size=(40, 40)):
    "A small photograph"
    from PIL import Image
    v = kit.blobs(1, seed, size=size)[0].mul(255).byte().movedim(0, -1).numpy()
    Image.fromarray(v).save(path)


def mask(path):
    "A hole in such a photograph"
    from PIL import Image
    image = Image.new('L', (40, 40))
    image.paste(255, (10, 10, 25, 30))
    image.save(path)


def make(folder:Path):
    "A run that ended, the same one stopped on the way, models, pictures, picks, an official checkpoint"
    cfg = kit.config()
    model, _ = kit.train(cfg, folder / 'whole')
    for steps in (3, 4):
        try:
            kit.train(cfg, folder / 'parts', watch=kit.stop_after(steps, signal.SIGTERM))
        except KeyboardInterrupt:
            continue
    kit.save(model, folder / 'm.model')
    (folder / 'm.checkpoint').write_bytes((folder / 'whole/small/small.checkpoint').read_bytes())
    (folder / 'photos').mkdir()
    for i in range(8): picture(folder / f'photos/{i}.png', i)
    for i, name in enumerate('ab'): picture(folder / f'{name}.png', 20 + i)
    mask(folder / 'mask.png')
    said = kit.nvae('sample', folder / 'm.model', '0.7', '1', '--n', '2', '--out', folder / 'x.png')
    assert said.code == 0, said
    (folder / 'picks.json').write_bytes(kit.picks_file(folder / 'm.model', folder / 'whole').read_bytes())
    again = kit.nvae('sample', '--like', folder / 'picks.json', '--out', folder / 'picks-again.png')
    assert again.code == 0, again
    official(folder / 'official.pt')


def official(path):
    "A checkpoint as the official code writes it, of a network that it can build"
    import torch
    model = dict(likelihood='normal', image_size=32, n_pre_blocks=1, n_scales=1)
    network = kit.NVAE(kit.config(model=model))
    torch.save(kit.official(network), path)


def rng_of(*words):
    "A generator that depends on all the words"
    return random.Random('/'.join(map(str, words)))
