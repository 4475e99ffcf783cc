"""Speed and memory of this tree beside an earlier one, in rounds: each figure in a process of its own, taking turns.

    git worktree add ../before COMMIT
    python docs/pairs.py ../before NAME [NAME…] [--rounds 10] >> nbs/6_results/pairs.jsonl

One line of JSON per configuration: for every round how many times the earlier tree's images a second in training and in
sampling this one reaches, and how its largest resident set compares. Leave the machine alone meanwhile: a round beside
other work says nothing."""
import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
ONE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import torch
from nvae.bench import peak_mib, sampling_rate, training_rate
from nvae.config import load_config
cfg = load_config(sys.argv[2])
torch.manual_seed(0)
training = training_rate(cfg, 8, 5, 4.)['median']
peak = peak_mib(torch.device('cpu'))
print(json.dumps(dict(training=training, sampling=sampling_rate(cfg, 9, 6, 2.)['median'], peak_mib=peak)))
"""


def measured(tree, name)->dict:
    "What one process measures with the package of a tree"
    done = subprocess.run([sys.executable, '-c', ONE, str(tree), name], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def commit_of(tree)->str:
    return subprocess.check_output(['git', '-C', tree, 'rev-parse', '--short', 'HEAD'], text=True).strip()


def rounds(before, name, n)->list:
    "Ratios of both trees, which take turns; the one that begins changes"
    found = []
    for i in range(n):
        trees = [('before', before), ('now', HERE)]
        if i % 2: trees.reverse()
        both = {key: measured(tree, name) for key, tree in trees}
        found.append({key: round(both['now'][key] / both['before'][key], 3) for key in both['now']})
        print(name, i, found[-1], file=sys.stderr)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('before', type=Path, help='a tree of the earlier commit')
    parser.add_argument('names', nargs='+', help='configurations')
    parser.add_argument('--rounds', type=int, default=10)
    asked = parser.parse_args()
    commits = dict(before=commit_of(asked.before), now=commit_of(HERE))
    for name in asked.names:
        found = rounds(asked.before.resolve(), name, asked.rounds)
        print(json.dumps(dict(config=name, date=time.strftime('%Y-%m-%d'), commits=commits, rounds=found)), flush=True)


if __name__ == '__main__': main()
