"""Take the README's picture from the front page of the built book.

python book/readme_picture.py       # or: make readme-picture, which builds the book first
"""

from __future__ import annotations

import sys
from pathlib import Path

from bs4 import BeautifulSoup
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "book/_build/html/book/intro.html"
PICTURE = ROOT / "book/_static/readme/picture.png"


def main() -> int:
    if not PAGE.exists():
        print(f"{PAGE} is not there; build the book first: make book", file=sys.stderr)
        return 1
    picture = BeautifulSoup(PAGE.read_text(encoding="utf-8"), "html.parser").select_one(
        "#fig-intro-drawn img"
    )
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(PAGE.parent / picture["src"]) as image:
        # 256 colours are enough for it, at a third of the size
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size / 1024:.0f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
