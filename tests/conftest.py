"""What the tests share: where the repository and the built book are, and when a test is left out."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "book/_build/html"

# the book's own scripts: build.py, stamp.py and the Sphinx extension
sys.path[:0] = [str(ROOT / "book"), str(ROOT / "book/_extensions")]


def pytest_ignore_collect(collection_path, config):
    """Benchmarks measure the machine, and run only when they are named (make bench)."""
    if collection_path.name == "benchmarks" and not any("benchmarks" in str(arg) for arg in config.args):
        return True
    return None


def pytest_collection_modifyitems(items):
    if (HTML / "index.html").exists():
        return
    no_book = pytest.mark.skip(reason="the book is not built: make book")
    for item in items:
        if item.get_closest_marker("book") or item.get_closest_marker("browser"):
            item.add_marker(no_book)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def html() -> Path:
    """The folder of the built pages."""
    return HTML
