"What several files of tests use"
import signal
import subprocess

import pytest

from nvae.cli import main as cli

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is deaf to Ctrl-C, and so would be all that the tests start


@pytest.fixture
def nvae(tmp_path, monkeypatch, capfd):
    "nvae('sample', ...) in an empty folder, without starting Python anew each time"
    monkeypatch.chdir(tmp_path)
    def run(*args):
        code = cli.main(list(map(str, args)))
        return subprocess.CompletedProcess(args, code, *capfd.readouterr())
    return run
