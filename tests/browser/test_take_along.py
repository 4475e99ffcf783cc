"What goes from a board to a person: a file of the browser's, a command that is copied and makes the same picture"
import shlex

import numpy as np
from PIL import Image

from nvae.cli.main import main


def test_downloaded_and_copied(app, tmp_path):
    view = app('sample', SEED=3)
    page = view.page
    page.context.grant_permissions(['clipboard-read', 'clipboard-write'])
    with page.expect_download() as download:
        view.press('Download')
    taken, again = tmp_path / 'taken.png', tmp_path / 'again.png'
    download.value.save_as(taken)
    assert download.value.suggested_filename == 'sample-seed3.png'
    view.press('the command and the code that make this picture')
    view.press('Copy the command')
    page.get_by_text('copied', exact=True).wait_for()
    line = page.evaluate('() => navigator.clipboard.readText()')
    assert main([*shlex.split(line)[1:], '--out', str(again)]) == 0
    assert np.array_equal(np.asarray(Image.open(again)), np.asarray(Image.open(taken)))
    assert not view.ours()
