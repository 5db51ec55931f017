"""Write the repository's address, which stands in _config.yml, wherever else it must be spelled out.

    python book/stamp.py            # or: make stamp

That is the set-up cell of every notebook, the Colab links, and the places that name the repository in README,
CONTRIBUTING, CITATION.cff, pyproject.toml, the workflows and the book's pages. `stale` lists what disagrees;
tests/test_repository.py calls it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]

SETUP_CELL = """\
# Set-up: installs the course only where it is missing; the machine's own torch stays.
import importlib.util

if importlib.util.find_spec("gan_course") is None:
    %pip install -q "gan_course @ git+{repository}@{branch}"

from gan_course import notebook

device = notebook.setup()"""

COLAB = re.compile(r"https://colab\.research\.google\.com/github/[^/\s]+/[^/\s]+/blob/[^/\s]+/")
# The same repository name under another owner is a former address.
FORMER = r"https://github\.com/[\w.-]+/{name}(?![\w-])"
PAGES = r"https://[\w-]+\.github\.io/{name}(?![\w-])"
TEXTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CITATION.cff",
    "pyproject.toml",
    "book/*.md",
    ".github/workflows/*.yml",
]


def address(root: Path = ROOT) -> tuple[str, str]:
    """The repository's address and the branch that links open, from _config.yml."""
    repository = yaml.safe_load((root / "_config.yml").read_text())["repository"]
    return repository["url"].rstrip("/"), repository["branch"]


def setup_cell(root: Path = ROOT) -> str:
    repository, branch = address(root)
    return SETUP_CELL.format(repository=repository, branch=branch)


def stamp_text(text: str, repository: str, branch: str) -> str:
    """`text` with every Colab link and address of the repository or the published book as it should be."""
    owner, name = repository.removeprefix("https://github.com/").split("/")
    text = COLAB.sub(f"https://colab.research.google.com/github/{owner}/{name}/blob/{branch}/", text)
    for known in dict.fromkeys([name, "gan_course"]):
        text = re.sub(FORMER.format(name=re.escape(known)), repository, text)
        text = re.sub(PAGES.format(name=re.escape(known)), f"https://{owner}.github.io/{name}", text)
    return text


def stamp_notebook(text: str, root: Path = ROOT) -> str:
    """The JSON of a notebook with its set-up cell and its links as they should be."""
    document = json.loads(text)
    before = json.dumps(document)
    for cell in document["cells"]:
        source = "".join(cell["source"])
        is_setup = cell.get("id") == "setup"
        stamped = setup_cell(root) if is_setup else stamp_text(source, *address(root))
        if stamped != source:
            cell["source"] = stamped.splitlines(keepends=True)
    if json.dumps(document) == before:
        return text
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def stamped_files(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Every file that names the repository, with the text that it should have."""
    for pattern in TEXTS:
        for path in sorted(root.glob(pattern)):
            yield path, stamp_text(path.read_text(), *address(root))
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        yield path, stamp_notebook(path.read_text(), root)


def stale(root: Path = ROOT) -> list[Path]:
    """The files that disagree with _config.yml."""
    return [path for path, text in stamped_files(root) if path.read_text() != text]


def main() -> int:
    changed = stale()
    for path, text in stamped_files():
        if path in changed:
            path.write_text(text)
            print(f"stamped {path.relative_to(ROOT)}")
    print(f"{len(changed)} changed; the address is {' at '.join(address())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
