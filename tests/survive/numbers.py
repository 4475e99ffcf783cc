"A NaN or an infinity in eight places: no file holds it, it is said, and where it was a passing one the run ends"
import json
import random
from pathlib import Path

from . import kit
from .common import Case, Verdict, command, has_leftovers, of_exception

PLACES = ('input', 'weight', 'running variance', "gate's bias", 'gradient', 'loss', 'optimiser', 'average')
VALUES = ('nan', 'inf', '-inf')
TIMES = {'once': 1, 'three times': 3, 'always': 10**9}
SETTINGS = {'plain': {}, 'a checkpoint at every step': dict(checkpoint_images=8), 'accumulated': dict(accumulate=2),
            'evaluated at every step': dict(eval_every=.2), 'two steps to a checkpoint': dict(checkpoint_images=16),
            'no average': dict(ema_decay=0), 'clipped': dict(grad_clip=1.)}
WORDS = ('finite', 'nan', 'inf')


def cases(rng):
    "Each place with each value and duration, in an order that depends on the seed; then again, elsewhere"
    every = [(place, value, times) for place in PLACES for value in VALUES for times in TIMES]
    while True:
        rng.shuffle(every)
        for place, value, times in every:
            settings, step = rng.choice(list(SETTINGS)), rng.randrange(10)
            if settings == 'accumulated': step %= 4  # all that it takes
            if place == 'average' and settings == 'no average': settings = 'plain'
            data = dict(place=place, value=value, times=times, settings=settings, step=step, seed=rng.randrange(10**6))
            yield Case(f'{value} in {place}, {times}, from step {step}, {settings}', data)


def judge(case, given):
    "Train with it, then read every file that is there"
    cfg = kit.config(**SETTINGS[case.data['settings']])
    injector = Injector(case.data)
    said = ''
    try:
        with kit.every_step(injector): _, said = kit.train(cfg, 'runs')
    except (kit.TrainingFailed, kit.BadInput) as error:
        said = str(error)
    except Exception as error:
        return of_exception(error)
    verdict = _files()
    if verdict: return verdict
    if not injector.done: return Verdict('fine', 'the run ended before')
    told = said + ' '.join(record.get('message', '') for record in _events())
    if not any(word in told.lower() for word in WORDS): return Verdict('unsaid', f'no word of it: {told[-300:]}', 'fit')
    return _goes_on(cfg) or has_leftovers('runs') or Verdict('fine', told[-200:])


class Injector:
    "Puts the number where it is wanted, before a step"
    def __init__(self, data):
        self.data, self.done = data, 0
        self.value, self.times = float(data['value']), TIMES[data['times']]
        self.hook = None

    def __call__(self, state, xs):
        "What is to be trained on, with the number in it, or the network that has it"
        if self.hook: self.hook.remove()
        self.hook = None
        if state.progress.step < self.data['step'] or self.done >= self.times: return xs
        self.done += 1
        return getattr(self, '_' + self.data['place'].replace(' ', '_').replace("'", ''))(state, xs) or xs

    def _set(self, tensors):
        "One element of one of them"
        rng = random.Random(self.data['seed'])
        chosen = rng.choice([t for t in tensors if t.numel()])
        flat = chosen.detach().reshape(-1) if chosen.is_contiguous() else chosen.detach()
        flat[(rng.randrange(flat.shape[0]), *[0] * (flat.dim() - 1))] = self.value

    def _input(self, state, xs):
        xs = [x.clone() for x in xs]
        xs[0].view(-1)[self.data['seed'] % xs[0].numel()] = self.value
        return xs

    def _weight(self, state, xs):
        self._set([p for name, p in state.model.named_parameters() if name.endswith('.weight')])

    def _running_variance(self, state, xs):
        self._set([b for name, b in state.model.named_buffers() if name.endswith('running_var')])

    def _gates_bias(self, state, xs):
        self._set([p for name, p in state.model.named_parameters() if name.endswith('excite.bias')])

    def _gradient(self, state, xs):
        parameters = list(state.model.parameters())
        chosen = parameters[self.data['seed'] % len(parameters)]
        self.hook = chosen.register_hook(lambda gradient: gradient + self.value)

    def _loss(self, state, xs):
        self.hook = state.wrapped.register_forward_hook(
            lambda module, args, terms: terms._replace(total=terms.total + self.value))

    def _optimiser(self, state, xs):
        names = ['exp_avg'] if self.data['value'] == '-inf' else ['exp_avg', 'exp_inf']  # no maximum takes -inf
        moments = [of[name] for of in state.optimizer.state.values() for name in names if name in of]
        if moments:
            self._set(moments)
        else:
            self.done -= 1

    def _average(self, state, xs):
        if state.ema.n_averaged:  # before, the first step puts the weights in its place
            self._set(list(state.ema.module.parameters()))
        else:
            self.done -= 1


def _files():
    "Every checkpoint and model is finite, and `nvae info` reads it"
    for path in sorted(Path('runs').rglob('*.checkpoint')) + sorted(Path('runs').rglob('*.model')):
        found = kit.nonfinite(kit.contents(path))
        if found: return Verdict('unsaid', f'{path} holds numbers that are not finite: {found[:3]}', 'files')
        verdict = command('info', path)
        if verdict.result != 'fine': return verdict


def _events():
    path = Path('runs/small/metrics.jsonl')
    records = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [record for record in records if record['kind'] == 'event']


def _goes_on(cfg):
    "Without the number the run ends, unless its weights were of no use"
    try:
        kit.train(cfg, 'runs')
    except (kit.TrainingFailed, kit.BadInput) as error:
        return Verdict('fine', str(error))
    except Exception as error:
        return of_exception(error)
    verdict = _files()
    if verdict: return verdict
    return None if Path('runs/small/small.model').exists() else Verdict('unsaid', 'done without a model', 'fit')
