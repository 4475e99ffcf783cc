"A run that begins with the weights of a model: what is taken, what is refused, and what is said of it"
import pytest
import torch
from small_models import small_run
from training import config, loaders, trained

import nvae.runs.headless
from nvae.errors import BadInput
from nvae.hub import model_card
from nvae.runs.checkpoint import load_model, model_hash, save_model
from nvae.runs.folder import RunDir, open_run, read_metrics
from nvae.runs.lineage import lineage_in, lineage_of, read_beginning
from nvae.sampling.recipe import Recipe
from nvae.training.fit import fit
from nvae.training.state import begin_with, new_state


@pytest.fixture(scope='module')
def parent(tmp_path_factory):
    "A run that others begin with"
    return trained(config('parent'), tmp_path_factory.mktemp('parent'))


def begun(cfg, folder, init, partial=False):
    return fit(cfg, open_run(cfg, folder), loaders(cfg), init=init, init_partial=partial)


def first_value(run):
    return next(r['value'] for r in read_metrics(run.metrics) if r['kind'] == 'test')


def test_a_run_begins_where_its_model_ended(parent, tmp_path):
    "The held-out likelihood before the first step is the model's; the lineage is in the facts, the events and the card"
    model = begun(config('child'), tmp_path, parent.model)
    run, source = RunDir(tmp_path/'child'), load_model(parent.model, 'cpu')
    last = [r['value'] for r in read_metrics(parent.metrics) if r['kind'] == 'test'][-1]
    assert first_value(run) == pytest.approx(last, abs=.02) and first_value(parent) > last + .1
    lineage = lineage_of(run)
    assert lineage['sha256'] == model_hash(source) and lineage['fresh'] == [] and lineage['file'] == 'parent.model'
    assert any('began with all' in (r.get('message') or '') for r in read_metrics(run.metrics))
    assert lineage_in(model.facts) == lineage and lineage['sha256'][:16] in str(model_card(model, [], Recipe(n=1)))
    run.model.unlink()
    assert lineage_of(run) == lineage


def test_the_same_command_goes_on_and_another_one_is_refused(parent, tmp_path):
    cfg, longer = config('child', epochs=1), config('child', epochs=2)
    begun(cfg, tmp_path, parent.model)
    model = begun(longer, tmp_path, parent.model)
    assert model.facts['step'] == 10 and lineage_in(model.facts)
    assert lineage_in(begun(longer, tmp_path, None).facts)
    other = save_model(new_network('other'), tmp_path/'other.model')
    with pytest.raises(BadInput, match='began with all .* --fresh'): begun(longer, tmp_path, other)
    with pytest.raises(BadInput, match='began at random'): begun(config('parent'), parent.path.parent, other)


def new_network(name):
    from nvae.network.model import NVAE
    torch.manual_seed(3)
    return NVAE(config(name))


def test_what_fits_is_taken_and_the_average_begins_there_too(parent, tmp_path):
    cfg = config('child', model=dict(n_mix=3))
    with pytest.raises(BadInput, match=r'head.*in the network.*--init-partial'): begun(cfg, tmp_path, parent.model)
    listed = []
    beginning = read_beginning(cfg, parent.model, True, listed.append)
    state = new_state(cfg, open_run(cfg, tmp_path), loaders(cfg))
    drawn = {name: v.clone() for name, v in state.model.state_dict().items()}
    begin_with(state, beginning)
    source, average = load_model(parent.model, 'cpu').state_dict(), state.ema.module.state_dict()
    assert len(listed) == len(beginning.lineage['fresh']) and all('head' in line for line in listed)
    for name, v in state.model.state_dict().items():
        assert v.equal(drawn[name] if name in beginning.lineage['fresh'] else source[name]), name
        assert v.equal(average[name]), name


def test_a_run_that_lost_its_checkpoints_is_told_how_to_begin_with_what_is_there(tmp_path):
    run = trained(config('lost', epochs=1), tmp_path)
    for path in tmp_path.glob('lost/*.checkpoint'): path.unlink()
    with pytest.raises(BadInput, match=r'--fresh --init .*lost\.model'): trained(config('lost', epochs=1), tmp_path)
    run.model.unlink()
    with pytest.raises(BadInput, match=r'under another name$'): trained(config('lost', epochs=1), tmp_path)


@pytest.fixture
def begins(monkeypatch):
    "The parameters that the training notebook is given, in place of a training"
    given = []
    def remember(run, parameters, show):
        given.append(parameters)
        return nvae.runs.headless.Ended('done', 'done', 0)
    monkeypatch.setattr(nvae.runs.headless, 'trained', remember)
    return given


def test_train_lists_what_does_not_fit_before_anything_starts(nvae, begins, tmp_path):
    small_run(tmp_path/'runs')
    command = 'train', 'demo32', '--set', 'n_mix=3', '--init', 'demo32'
    refused = nvae(*command)
    assert refused.returncode == 2 and not begins and not (tmp_path/'runs/demo32').exists()
    *listed, line = refused.stderr.strip().splitlines()
    assert len(listed) >= 2 and all('head' in text and 'in the network' in text for text in listed)
    assert '--init-partial' in line
    assert nvae(*command, '--init-partial').stderr.splitlines()[:len(listed)] == listed
    assert begins[-1]['init'] == 'demo32' and begins[-1]['init_partial']
    assert nvae('train', 'quickstart').returncode == 0 and begins[-1]['init'] is None
    nothing = nvae('train', 'quickstart', '--fresh', '--init', 'runs/small/small.model', '--init-partial')
    assert nothing.returncode == 2 and 'no weight of runs/small/small.model fits' in nothing.stderr


@pytest.mark.parametrize('options, says', [
    (['--init', 'none.model'], 'there is no file none.model'), (['--init-partial'], 'name that with --init FILE'),
    (['--init', '.'], 'that of a folder'), (['--init', 'text.model'], 'neither a .model nor')])
def test_what_a_run_can_not_begin_with_is_one_line(nvae, begins, tmp_path, options, says):
    (tmp_path/'text.model').write_text('a text of some length')
    done = nvae('train', 'quickstart', *options)
    assert done.returncode == 2 and not begins
    assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_file_of_the_run_that_is_set_aside_is_followed(nvae, begins, tmp_path):
    small_run(tmp_path/'runs', 'demo')
    (tmp_path/'c.yaml').write_text('{name: demo, model: {image_size: 16, channels: 8, z_channels: 4, enc_cells: 1, '
                                   'dec_cells: 1, n_mix: 2}}')
    done = nvae('train', 'c.yaml', '--fresh', '--init', 'runs/demo/demo.model')
    assert done.returncode == 0, done.stderr
    assert begins[-1]['init'] == 'runs/demo.1/demo.1.model' and (tmp_path/begins[-1]['init']).is_file()
