"What pip needs to know, read from settings.ini; and the files beside the package that a wheel carries inside it."
import shutil
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
# folder of the repository -> what `nvae` opens there at run time
CARRIED = {'model_configs': '*.*', 'models': '*.*', 'nbs/workbench': '*.ipynb', 'nbs/assets': '*.*'}
STATUSES = {1: 'Planning', 2: 'Pre-Alpha', 3: 'Alpha', 4: 'Beta', 5: 'Production/Stable'}


def settings():
    "The one section of settings.ini"
    parser = ConfigParser(delimiters=['='])
    parser.read(ROOT / 'settings.ini', encoding='utf-8')
    return parser['DEFAULT']


class BuildWithAssets(build_py):
    "Puts `CARRIED` into the package, where `nvae.files.find_asset` looks; an editable install reads the repository's"
    def carried(self):
        package, found = Path(self.build_lib) / 'nvae', {}
        for folder, pattern in CARRIED.items():
            for file in (ROOT / folder).glob(pattern): found[file] = package / folder / file.name
        return found

    def run(self):
        super().run()
        if self.editable_mode: return
        for source, target in self.carried().items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode=True):
        carried = [] if self.editable_mode else [str(target) for target in self.carried().values()]
        return super().get_outputs(include_bytecode) + carried


cfg = settings()
status = int(cfg['status'])
first, last = (int(cfg[key].split('.')[1]) for key in ('min_python', 'max_python'))
pythons = [f'3.{minor}' for minor in range(first, last + 1)]

setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    keywords=cfg['keywords'].split(),
    author=cfg['author'],
    author_email=cfg['author_email'],
    license='Apache-2.0',
    url=cfg['git_url'],
    project_urls={'Source': cfg['git_url'], 'Documentation': cfg['doc_host'] + cfg['doc_baseurl']},
    classifiers=[f'Development Status :: {status} - {STATUSES[status]}', f"Intended Audience :: {cfg['audience']}",
                 f"Natural Language :: {cfg['language']}", 'Topic :: Scientific/Engineering :: Artificial Intelligence',
                 'Framework :: Jupyter', 'Typing :: Typed', 'Programming Language :: Python :: 3',
                 *(f'Programming Language :: Python :: {p}' for p in pythons)],
    python_requires=f">={cfg['min_python']}",
    packages=find_packages(include=[cfg['lib_path'], f"{cfg['lib_path']}.*"]),
    package_data={'nvae': ['py.typed']},
    install_requires=cfg['requirements'].split(),
    extras_require={'dev': cfg['dev_requirements'].split()},
    entry_points={'console_scripts': cfg['console_scripts'].split()},
    cmdclass={'build_py': BuildWithAssets},
    zip_safe=False,
)
