"""What a direction changes besides what it is called by: directions of `demo32`, read from pixels by another network.

python docs/selectivity.py    writes selectivity.json for the page Directions: three minutes on one core"""
import json
import time
from datetime import UTC, datetime

import torch
from results import PAGE, hardware
from torch import nn
from torchvision.transforms.functional import gaussian_blur

from nvae.config import configured
from nvae.data.faces import FACTORS
from nvae.data.images import to_unit
from nvae.data.sources import dataloaders
from nvae.runs.checkpoint import load_model
from nvae.sampling.directions import difference_of_means, encoded, mean_noise, move, orthogonal
from nvae.sampling.encode import decode_images, encode_images

MEASURED = PAGE / 'selectivity.json'
WAYS = dict(
    glasses=('none', 'sunglasses'), beard=('none', 'full'), hair_style=('bald', 'curly'),
    hair_colour=('black', 'blond'), skin=('porcelain', 'umber'), background=('sky', 'coral'),
    clothes=('navy', 'mustard'))
READ = [*WAYS, 'face_shape']
N_TRAIN, N_EXAMPLES, N_TEST, STEPS = 20_000, 4_000, 1_000, 1_400
DRAWS = 5 # of each control


def faces():
    "Training and held-out faces on the levels of `demo32`, with their factors"
    cfg = configured('demo32', [f'n_train={N_TRAIN}', f'n_test={N_TEST}'])
    loaders = dataloaders(cfg, progress=False)
    for split in loaders.train, loaders.test:
        factors = {name: torch.as_tensor(split.factors[name]) for name in READ}
        yield to_unit(split.pixels.images, cfg.model), factors


class Reader(nn.Module):
    "The choices of a face, from its pixels"
    def __init__(self):
        super().__init__()
        layers = []
        for before, after in (3, 24), (24, 48), (48, 96):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(96 * 16, 128), nn.ReLU())
        self.heads = nn.ModuleDict({name: nn.Linear(128, len(FACTORS[name])) for name in READ})

    def forward(self, x):
        seen = self.body(x - .5)
        return {name: head(seen) for name, head in self.heads.items()}


def trained_reader(x, factors):
    "A reader that learned from drawings, half of them blurred, as reconstructions are"
    torch.manual_seed(0)
    reader = Reader()
    optimizer = torch.optim.AdamW(reader.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, STEPS)
    for _ in range(STEPS):
        some = torch.randint(len(x), (64,))
        batch = x[some]
        if torch.rand(()) < .5: batch = gaussian_blur(batch, [5, 5], [float(torch.rand(())) + .3])
        guesses = reader(batch)
        loss = sum(nn.functional.cross_entropy(guess, factors[name][some]) for name, guess in guesses.items())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return reader.eval()


@torch.no_grad()
def read(reader, x):
    "The number of the choice, of each factor"
    parts = [reader(part) for part in x.split(256)]
    return {name: torch.cat([part[name] for part in parts]).argmax(1) for name in READ}


def share(which):
    return round(which.float().mean().item(), 4)


def direction(model, x, factors, name):
    "From one choice to the other, among the examples"
    means = [mean_noise(encoded(model, [x[factors[name] == FACTORS[name].index(choice)]])) for choice in WAYS[name]]
    return difference_of_means(*means)


def confounded(model, x, factors):
    "The direction of glasses, from examples of which those with glasses have another background than those without"
    sets = []
    for glasses, background in zip(WAYS['glasses'], WAYS['background']):
        wears = factors['glasses'] == FACTORS['glasses'].index(glasses)
        stands = factors['background'] == FACTORS['background'].index(background)
        sets.append(mean_noise(encoded(model, [x[wears & stands]])))
    return difference_of_means(*sets)


def as_long(vectors, like):
    "A direction with the length that another has in each group"
    return [v * (l.norm() / v.norm()) for v, l in zip(vectors, like)]


def random_direction(like, name, seed):
    "Normal numbers, in each group as long as a direction"
    g = torch.Generator().manual_seed(seed)
    return as_long([torch.randn(l.shape, generator=g) for l in like], like)


def shuffled_direction(noise, like, sizes, seed):
    "From some of the examples' noise to that of others, chosen at random, in each group as long as a direction"
    start, end = torch.randperm(len(noise[0]), generator=torch.Generator().manual_seed(seed))[:sum(sizes)].split(sizes)
    return as_long([e[end].mean(0) - e[start].mean(0) for e in noise], like)


def sizes_of(factors, name):
    "How many examples a direction has of either choice"
    return [int((factors[name] == FACTORS[name].index(choice)).sum()) for choice in WAYS[name]]


def noise_of(model, x):
    return [torch.cat(group) for group in zip(*(encode_images(model, part, 'noise') for part in x.split(128)))]


def slid(model, noise, vectors, amount):
    moved = move(noise, vectors, torch.full((len(noise[0]),), amount))
    return torch.cat([decode_images(model, list(part), 'noise') for part in zip(*(e.split(128) for e in moved))])


def measure(model, reader, noise, vectors, factors, name):
    "What is read before and after those faces slide that have the first choice"
    start, end = (FACTORS[name].index(choice) for choice in WAYS[name])
    those = factors[name] == start
    here = [e[those] for e in noise]
    before, after = (read(reader, slid(model, here, vectors, amount)) for amount in (0., 1.))
    changed = {other: share(before[other] != after[other]) for other in READ}
    return dict(start=WAYS[name][0], end=WAYS[name][1], n=int(those.sum()), changed=changed,
                arrived=share(after[name] == end))


def mean_of(records):
    "Mean of the shares over several directions"
    changed = {name: round(sum(one['changed'][name] for one in records) / len(records), 4) for name in READ}
    return {**records[0], 'changed': changed, 'draws': len(records),
            'arrived': round(sum(one['arrived'] for one in records) / len(records), 4)}


def cosine(a, b):
    "Of the angle between two directions"
    a, b = (torch.cat([v.flatten() for v in vectors]) for vectors in (a, b))
    return round(nn.functional.cosine_similarity(a, b, dim=0).item(), 4)


def main():
    torch.set_num_threads(1)
    began = time.process_time()
    (x, factors), (held_out, truth) = faces()
    reader = trained_reader(x, factors)
    model = load_model('demo32', 'cpu')
    some = x[:N_EXAMPLES], {name: values[:N_EXAMPLES] for name, values in factors.items()}
    directions = {name: direction(model, *some, name) for name in WAYS}
    alone = {name: orthogonal(v, [other for key, other in directions.items() if key != name])
             for name, v in directions.items()}
    noise, examples = noise_of(model, held_out), noise_of(model, some[0])
    drawn, rebuilt = read(reader, held_out), read(reader, slid(model, noise, directions['glasses'], 0.))
    accuracy = {name: dict(drawn=share(drawn[name] == truth[name]), rebuilt=share(rebuilt[name] == truth[name]))
                for name in READ}
    tables = {kind: {name: measure(model, reader, noise, v[name], truth, name) for name in WAYS}
              for kind, v in dict(plain=directions, without=alone).items()}
    controls = dict(
        random=random_direction,
        shuffled=lambda like, name, seed: shuffled_direction(examples, like, sizes_of(some[1], name), seed))
    for kind, control in controls.items():
        tables[kind] = {name: mean_of([measure(model, reader, noise, control(v, name, seed), truth, name)
                                       for seed in range(DRAWS)]) for name, v in directions.items()}
    rest = [name for name in WAYS if name not in ('glasses', 'skin')]
    removed = {kind: orthogonal(directions['glasses'], [directions[name] for name in names])
               for kind, names in dict(skin=['skin'], rest=rest).items()}
    tables['glasses_without'] = {kind: measure(model, reader, noise, v, truth, 'glasses')
                                 for kind, v in removed.items()}
    both = confounded(model, *some)
    tables['confounded'] = {kind: measure(model, reader, noise, v, truth, 'glasses') for kind, v in
                            dict(plain=both, without=orthogonal(both, [directions['background']])).items()}
    cosines = {name: {other: cosine(v, w) for other, w in directions.items()} for name, v in directions.items()}
    found = dict(command='python docs/selectivity.py', factors=READ, accuracy=accuracy, **tables, examples=N_EXAMPLES,
                 cosines=cosines,
                 date=f'{datetime.now(UTC):%Y-%m-%d}', hardware=hardware(), torch=torch.__version__,
                 cpu_seconds=round(time.process_time() - began))
    MEASURED.write_text(json.dumps(found, indent=1) + '\n', encoding='utf-8')
    print(json.dumps(found, indent=1))


if __name__ == '__main__': main()
