"""Make demonstrations again: python book/_extensions/course_demos NAME ... [--to FOLDER]"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import course_demos

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("names", nargs="*", choices=list(course_demos.DEMOS), default=list(course_demos.DEMOS))
parser.add_argument("--to", type=Path, default=Path("book/_build/demos/by_hand"))
options = parser.parse_args()
for name in options.names:
    for path in sorted(course_demos.make(name, options.to).iterdir()):
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
