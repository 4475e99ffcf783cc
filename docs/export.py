"""Writes the modules that the notebooks export, and cleans the notebooks: `make export`.

What nbdev_export and nbdev_clean do, but for the first line of `__all__`, which nbdev lets run ten characters too far."""
from textwrap import TextWrapper

import nbdev.maker
from nbdev.clean import nbdev_clean
from nbdev.doclinks import nbdev_export


class Narrower(TextWrapper):
    "Leaves room for the `__all__ = ` that nbdev writes before the wrapped list"
    def __init__(self, width, **options):
        super().__init__(width - len('__all__ = '), **options)


if __name__ == '__main__':
    nbdev.maker.TextWrapper = Narrower
    nbdev_export()
    nbdev_clean()
