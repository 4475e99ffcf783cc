"""Measures what the page on unusual images quotes: AUROC of nats and of LLR>k, of three models, on sets of images.

python docs/unusual.py    writes nbs/6_results/unusual.jsonl: a line per model and set. Typed where docs/results.py has
                          trained 'CIFAR-10 JPEG, seed 0': runs/, dataset/cifar10_jpeg and dataset/mnist lie there"""
import json
import time

import numpy as np
import torch
from results import PAGE, SAMPLED, hardware
from torchvision.transforms.functional import gaussian_blur

from nvae.data.batches import binarise_once
from nvae.data.faces import describe, draw_faces, face_factors, light, paint, rgb
from nvae.data.images import to_unit
from nvae.data.sources import FIRST_TEST_FACE, dataloaders
from nvae.evaluation.score import compare_sets, score_images
from nvae.noise import seeded
from nvae.runs.checkpoint import load_model, model_hash

OUT = PAGE / 'unusual.jsonl'
IMAGES = 500
PHOTOGRAPHS = SAMPLED['Fréchet distances of CIFAR-10 JPEG, seed 0']
FACES = range(FIRST_TEST_FACE + 300, FIRST_TEST_FACE + 300 + IMAGES)
GREEN = rgb('6fae5c')  # a skin that no face of the training has
TILT = 25              # degrees; in training at most 10


def held_out(name):
    "Held-out images of a model's own data, uint8 (N, C, H, W)"
    cfg = load_model(name, 'cpu').config
    update = dict(n_train=2 * IMAGES, n_test=IMAGES, n_valid=None)
    if name == PHOTOGRAPHS: update = dict(root='dataset/cifar10_jpeg', dataset='folder', n_test=IMAGES)
    data = cfg.data.model_copy(update=update)
    return dataloaders(cfg.model_copy(update=dict(data=data)), progress=False, split='test').test.pixels.images


def with_colours(grey): return grey.expand(-1, 3, -1, -1)


def flat(images): return images.float().mean((2, 3), keepdim=True).round().byte().expand_as(images)


def blurred(images): return gaussian_blur(images.float(), [9, 9], [2., 2.]).round().byte()


def noise(images): return torch.randint(256, images.shape, generator=seeded(1), dtype=torch.uint8)


def changed_faces(change):
    "Held-out faces after a change of what describes them"
    factors = face_factors(FACES)
    described = [describe(factors, i) for i in range(IMAGES)]
    for face in described: change(face)
    painted = np.stack([paint(face, (32, 32)) for face in described])
    return torch.from_numpy(np.ascontiguousarray(light(painted, factors).transpose(0, 3, 1, 2)))


def green(face): face.skin_rgb = GREEN


def tilted(face): face.tilt = TILT if face.tilt > 0 else -TILT


def colour_sets(own, digits, others): # others: name → images
    "Sets for a model of colour images: name → uint8 (N, 3, 32, 32)"
    return {'one colour each, the mean of an image': flat(own), 'digits': with_colours(digits), **others,
            'its images, blurred': blurred(own), 'its images, upside down': own.flip(2),
            'its images, red and blue exchanged': own.flip(1), 'noise': noise(own)}


def sets():
    "Model → its usual images, and sets that are to be told from them"
    photographs, digits = held_out(PHOTOGRAPHS), held_out('digits')
    faces = torch.from_numpy(draw_faces(FACES, 32)[0])
    cartoons = {'drawn faces': faces}
    unknown = {'photographs': photographs, 'faces with green skin': changed_faces(green),
               f'faces tilted by {TILT} degrees': changed_faces(tilted)}
    yield PHOTOGRAPHS, photographs, colour_sets(photographs, digits, cartoons)
    yield 'demo32', faces, colour_sets(faces, digits, unknown)
    grey = lambda images: images.float().mean(1, keepdim=True).round().byte()
    yield 'digits', digits, {
        'nothing: black': torch.zeros_like(digits), 'digits, turned by 90 degrees': digits.rot90(1, (2, 3)),
        'digits, upside down': digits.flip(2), 'digits, thickened': torch.nn.functional.max_pool2d(
            digits.float(), 3, 1, 1).byte(), 'drawn faces': grey(faces), 'noise': noise(digits) // 4}


def as_seen(images, cfg):
    "Bytes as a model takes them"
    return to_unit(binarise_once(images, 0) if cfg.is_binary else images, cfg)


def measure(name, usual, unusual):
    "A record per set"
    model = load_model(name, 'cpu')
    kept = range(model.cfg.total_groups)
    known = score_images(model, as_seen(usual, model.cfg), kept)
    about = dict(model=name, sha256=model_hash(model), groups=model.cfg.total_groups, usual_images=len(usual),
                 usual_nats=round(known.scores.nats.median().item(), 1))
    for what, images in unusual.items():
        start = time.process_time()
        found = score_images(model, as_seen(images, model.cfg), kept)
        seconds = time.process_time() - start
        areas = {score: [round(v, 4) for v in area] for score, area in compare_sets(known, found).items()}
        yield dict(about, set=what, images=len(images), nats=round(found.scores.nats.median().item(), 1), auroc=areas,
                   cpu_seconds=round(seconds, 1))


def main():
    torch.set_num_threads(1)
    about = dict(hardware=hardware(), torch=torch.__version__, date=time.strftime('%Y-%m-%d'))
    records = [about]
    for name, usual, unusual in sets(): records += measure(name, usual, unusual)
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    OUT.write_text('\n'.join(lines) + '\n', encoding='utf-8')


if __name__ == '__main__': main()
