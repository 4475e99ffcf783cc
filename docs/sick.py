"""One healthy and three sick runs of the same small network, for the page How hierarchical VAEs fail.

python docs/sick.py [NAME…]    trains those runs (all of them without a name), and writes their lines of sick.jsonl"""
import json
import sys
import tempfile
from datetime import UTC, datetime

from results import PAGE, hardware

from nvae.config import Config
from nvae.runs.folder import open_run, read_metrics
from nvae.training.fit import TrainingFailed, fit

MEASURED = PAGE / 'sick.jsonl'
MODEL = dict(image_size=16, n_bits=5, n_scales=2, n_groups=3, z_channels=4, channels=8, n_mix=2,
             n_pre_cells=1, n_post_cells=1, enc_cells=1, dec_cells=1)
DATA = dict(n_train=4096, n_test=256)
TRAIN = dict(epochs=3, batch_size=16, lr=.01, lr_warmup=.2, kl_warmup=1, eval_every=.125, eval_images=256,
             preview_every=1000, tracker='none')
CHANGES = {  # name of the run -> what is different from the healthy one
    'healthy': dict(),
    'diverging': dict(train=dict(lr=.5, lr_warmup=0, spectral_lambda=0)),
    'collapsed': dict(train=dict(kl_warmup=0, kl_balancing=False, kl_weight=10)),
    'overfitting': dict(data=dict(n_train=16), train=dict(epochs=768, kl_warmup=256, lr_warmup=51, eval_every=32)),
}


def measure(name, changes, runs):
    "Train; the record of it"
    parts = dict(model=MODEL, data=DATA, train=TRAIN)
    settings = {part: values | changes.get(part, {}) for part, values in parts.items()}
    cfg = Config.from_dict(dict(name=name, **settings))
    run = open_run(cfg, runs)
    try:
        fit(cfg, run)
        end = 'done'
    except TrainingFailed as e:
        end = str(e)
    records = read_metrics(run.metrics)
    def of(kind): return [r for r in records if r['kind'] == kind]
    kept = dict(train=[[r['step'], r['value']] for r in of('train')],
                test=[[r['step'], r['value'], r['kl_per_group']] for r in of('test')])
    return dict(name=name, changes=changes, **kept, unit=of('test')[-1]['unit'], end=end,
                events=[r['message'] for r in of('event')], date=f'{datetime.now(UTC):%Y-%m-%d}', hardware=hardware())


def main(names):
    lines = MEASURED.read_text(encoding='utf-8').splitlines() if MEASURED.exists() else []
    found = {record['name']: record for record in map(json.loads, lines)}
    with tempfile.TemporaryDirectory() as runs:
        for name in names or CHANGES:
            found[name] = measure(name, CHANGES[name], runs)
            print(name, found[name]['test'][-1], found[name]['end'], flush=True)
    ordered = [json.dumps(found[name]) for name in CHANGES if name in found]
    MEASURED.write_text('\n'.join(ordered) + '\n', encoding='utf-8')


if __name__ == '__main__': main(sys.argv[1:])
