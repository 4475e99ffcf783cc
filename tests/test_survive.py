"A short slice of the trials in tests/survive, seeded; what fails today stands in one list until it is mended"
import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from survive import run

SEED = 0
pytestmark = pytest.mark.timeout(1000)  # on a machine that others use too
FAILING = {}  # what is known to fail: reason, the cases; a tuple of names as they stand in the tests' ids
REASONS = {name: reason for reason, names in FAILING.items() for name in names}


def slice_of(part):
    "(number, name) of each case"
    for number, case in enumerate(islice(run.cases_of(part, SEED), run.SLICE[part])):
        yield number, f'{part}: {case.what}'


def parameters():
    "Every case, marked where it fails today"
    for part in run.PARTS:
        for number, name in slice_of(part):
            marks = []
            if name in REASONS and part == 'damage':  # where a damaged byte lies depends on the file's other contents
                marks.append(pytest.mark.skip(reason=REASONS[name]))
            elif name in REASONS:
                marks.append(pytest.mark.xfail(reason=REASONS[name], strict=True))
            yield pytest.param(part, number, id=name, marks=marks)


@pytest.fixture(scope='module')
def verdicts(tmp_path_factory):
    "The slice, tried once, in a process that has never trained: each case is a fork of it"
    out = tmp_path_factory.mktemp('survive') / 'survive.jsonl'
    line = [sys.executable, run.__file__, '--slice', '--seed', str(SEED), '--out', str(out)]
    subprocess.run(line, stdout=subprocess.DEVNULL, timeout=900)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    return {(line['part'], line['case']): line for line in lines}


@pytest.mark.parametrize('part, number', list(parameters()))
def test_survives(verdicts, part, number):
    line = verdicts[part, number]
    assert line['result'] == 'fine', line['words']


def test_the_list_of_failing_names_cases_of_the_slice():
    assert REASONS.keys() <= {name for part in run.PARTS for _, name in slice_of(part)}


def test_a_failing_case_is_shrunk():
    pytest.importorskip('hypothesis')
    from survive.shrink import smallest
    assert smallest(range(20), lambda kept: {3, 7} <= set(kept)) == [3, 7]


def test_every_part_has_its_slice_and_its_number_of_cases():
    assert run.SLICE.keys() == run.MOST.keys()
    assert all((Path(run.__file__).parent / f'{part}.py').exists() for part in run.PARTS)


@pytest.mark.parametrize('part', run.PARTS)
def test_cases_depend_on_the_seed_alone(part):
    one, again, other = ([case.what for case in islice(run.cases_of(part, seed), 30)] for seed in (1, 1, 2))
    assert one == again != other


def test_an_orphan_of_a_trial_is_still_its_own(tmp_path):
    (tmp_path / 'tmp').mkdir()
    begins = ('import subprocess, sys; code = "import time; time.sleep(60)"; quiet = subprocess.DEVNULL; '
              'print(subprocess.Popen([sys.executable, "-c", code], stdout=quiet, stderr=quiet).pid)')
    own = {'SURVIVE': str(tmp_path)}
    told = subprocess.run([sys.executable, '-c', begins], env=own, capture_output=True, text=True)
    [orphan] = run._begun_by(tmp_path)
    try:
        assert orphan.pid == int(told.stdout) and orphan in run._family(os.getpid(), tmp_path)
    finally:
        orphan.kill()
