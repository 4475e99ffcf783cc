"Where the browser is"
import os
import shutil

NAMES = ('chromium', 'chromium-browser', 'google-chrome')


def find_chromium():
    "$CHROMIUM, or the first of its usual names that is there; None where there is none"
    given = os.environ.get('CHROMIUM')
    if given: return given
    for name in NAMES:
        path = shutil.which(name)
        if path: return path
    return None
