"""Distances of samples, with stored and with re-estimated statistics, for the page Statistics for generation.

python docs/stored_statistics.py    draws 2,000 samples of `demo32` with either at three temperatures and three seeds,
with the same noise, and writes a line of stored_statistics.jsonl for each temperature and seed; three minutes"""
import json
import time
from datetime import UTC, datetime

import torch
from frechet import SAMPLES, prepared
from results import PAGE, hardware

from nvae.evaluation.fid import fid

MEASURED = PAGE / 'stored_statistics.jsonl'
MODEL, PASSES = 'demo32', 20
TEMPERATURES, SEEDS = (.5, .7, 1.), (0, 1, 2)


def measure(compared, temperature, seed):
    "The two distances at one temperature from noise of one seed, and their protocol"
    began = time.process_time()
    def distance(passes):
        return fid(compared.model, compared.test.x, SAMPLES, temperature, passes, seed=seed, feature=compared.reader)
    stored, fitting = distance(0), distance(PASSES)
    return dict(model=MODEL, temperature=temperature, seed=seed, stored=stored['fid'], re_estimated=fitting['fid'],
                protocol=fitting['protocol'], date=f'{datetime.now(UTC):%Y-%m-%d}', hardware=hardware(),
                torch=torch.__version__, cpu_seconds=round(time.process_time() - began))


def main():
    compared, lines = prepared(MODEL), []
    for temperature in TEMPERATURES:
        for seed in SEEDS:
            record = measure(compared, temperature, seed)
            lines.append(json.dumps(record))
            print(temperature, seed, record['stored'], record['re_estimated'], record['cpu_seconds'], flush=True)
    MEASURED.write_text('\n'.join(lines) + '\n', encoding='utf-8')


if __name__ == '__main__': main()
