"The site that `make docs` left, and where its screenshots go"
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / '_site'
OUTPUT = ROOT / 'test-output' / 'site'
PAGES = sorted(p.relative_to(SITE).as_posix() for p in SITE.rglob('*.html')) if SITE.exists() else []
