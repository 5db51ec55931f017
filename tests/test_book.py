"""The built book, page by page: nothing missing, nothing broken, nothing loaded from elsewhere."""

import functools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

import nbformat
import pytest
import stamp
import yaml
from bs4 import BeautifulSoup
from build import build_key, chapters
from course_book import execution_key

pytestmark = pytest.mark.book

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "book/_build/html"


def table_of_contents():
    toc = yaml.safe_load((ROOT / "book/_toc.yml").read_text())
    listed = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    return [toc["root"], *listed]


PAGES = table_of_contents()
CHAPTERS = [path.relative_to(ROOT).with_suffix("").as_posix() for path in chapters(ROOT)]
each_page = pytest.mark.parametrize("page", PAGES)
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS)


@functools.cache
def parsed(path):
    """A written page; parsing takes longer than all that is asked of it afterwards."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def soup(page):
    return parsed(HTML / f"{page}.html")


def article(page):
    return soup(page).select_one("article.bd-article")


def source(page):
    """The text of a page as its author wrote it."""
    path = ROOT / f"{page}.ipynb"
    if not path.exists():
        return (ROOT / f"{page}.md").read_text()
    return "\n\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)


def written_pages():
    return sorted(path for path in HTML.rglob("*.html") if "_static" not in path.parts)


# ---- the whole -------------------------------------------------------------------------------------------


def test_the_book_is_that_of_these_sources():
    built = (ROOT / "book/_build/built").read_text()
    assert built == build_key(ROOT), "the book is older than its sources: make book"


def test_the_build_gave_no_warning():
    assert (ROOT / "book/_build/warnings.txt").read_text() == ""


def test_pages_are_those_of_the_table_of_contents():
    generated = {"index", "genindex", "search", "prf-prf"}
    names = {path.relative_to(HTML).with_suffix("").as_posix() for path in written_pages()}
    assert set(PAGES) <= names, "a page of the table of contents was not built"
    assert names - set(PAGES) <= generated, "a page that no table of contents names"


def test_every_page_can_be_searched():
    index = (HTML / "searchindex.js").read_text()
    docnames = json.loads(re.search(r'"docnames":\s*(\[.*?\])', index).group(1))
    assert set(PAGES) <= set(docnames)


@pytest.mark.parametrize("name", ["index.html", "search.html", "genindex.html"])
def test_generated_pages_are_there(name):
    assert (HTML / name).stat().st_size > 0


# ---- outputs ---------------------------------------------------------------------------------------------


@each_page
def test_no_error_and_no_stray_output(page):
    for kind in ("stderr", "traceback"):
        found = article(page).select(f".output.{kind}")
        assert not found, f"{page}: {kind}: {found[0].get_text()[:300]}"
    outputs = "\n".join(output.get_text() for output in article(page).select(".cell_output"))
    for trace in (
        "Traceback (most recent call last)",
        "Warning:",
        "<Figure size",
        "object at 0x",
        "[Text(",
        "Text(0",
    ):
        assert trace not in outputs, f"{page}: {trace!r} stands in an output"


@each_page
def test_no_widget_stands_without_its_script(page):
    text = str(soup(page))
    if "application/vnd.jupyter.widget-view+json" in text:
        assert "vendor/html-manager/dist/embed-amd.js" in text, f"{page}: widgets without the vendored script"


@each_chapter
def test_a_chapter_has_numbered_figures_with_words(chapter):
    figures = [
        figure for figure in article(chapter).select("figure[id]") if figure.select_one(".caption-number")
    ]
    assert len(figures) >= 3, f"{chapter}: {len(figures)} numbered figures"
    for figure in figures:
        assert figure.select_one(".caption-text").get_text(strip=True), (
            f"{chapter}: {figure['id']}: no caption"
        )
        pictures = figure.select("img")
        assert pictures or figure.select("svg, canvas"), f"{chapter}: {figure['id']}: a caption, no picture"
        for picture in pictures:
            words = picture.get("alt", "")
            assert words and not words.startswith(("../", "_images")), (
                f"{chapter}: {figure['id']}: no alt text"
            )


@each_chapter
def test_a_figure_is_talked_about(chapter):
    text = source(chapter)
    for name in re.findall(r"\"?name\"?: \"?(fig-[\w-]+)", text):
        assert f"{{numref}}`{name}`" in text or f"<{name}>`" in text, f"{chapter}: nothing refers to {name}"


# ---- formulas and citations ------------------------------------------------------------------------------


@each_page
def test_labelled_equations_are_numbered(page):
    labels = re.findall(r"^\$\$ \(([\w-]+)\)", source(page), re.MULTILINE)
    for label in labels:
        equation = article(page).find(id=f"equation-{label}")
        assert equation is not None, f"{page}: {label} is not on the page"
        number = equation.select_one(".eqno")
        assert number and re.search(r"\([\d.]+\)", number.get_text()), f"{page}: {label} has no number"


def test_every_citation_is_in_the_references():
    references = soup("book/references")
    entries = {entry["id"] for entry in references.select("div.citation[id]")}
    assert entries, "the list of references is empty"
    texts = [entry.get_text() for entry in references.select("div.citation")]
    assert len(texts) == len(set(texts)), "a reference stands there twice"
    bibliography = (ROOT / "book/references.bib").read_text()
    known = set(re.findall(r"^@\w+\{([^,\s]+),", bibliography, re.MULTILINE))
    for page in PAGES:
        for group in re.findall(r"\{cite:[a-z]+\}`([^`]+)`", source(page)):
            for key in group.split(","):
                assert key.strip() in known, f"{page} cites {key.strip()}; it is not in book/references.bib"
        for link in article(page).select("a.reference[href*='references.html#']"):
            assert unquote(urlparse(link["href"]).fragment) in entries, f"{page}: {link['href']}"
        assert not re.search(r"\[\?\]", article(page).get_text()), f"{page}: a citation was not resolved"


# ---- links -----------------------------------------------------------------------------------------------


@functools.cache
def anchors(path):
    page = parsed(path)
    return {tag["id"] for tag in page.select("[id]")} | {tag["name"] for tag in page.select("a[name]")}


@each_page
def test_internal_links_lead_somewhere(page):
    here = HTML / f"{page}.html"
    for link in soup(page).select("a[href]"):
        address = urlparse(link["href"])
        if address.scheme or address.netloc or link["href"] in ("#", ""):
            continue
        target = (here.parent / unquote(address.path)).resolve() if address.path else here
        assert target.is_file(), f"{page}: {link['href']} leads nowhere"
        if address.fragment and target.suffix == ".html":
            assert unquote(address.fragment) in anchors(target), f"{page}: no {link['href']} there"


@each_chapter
def test_colab_opens_this_very_notebook(chapter):
    repository, branch = stamp.address(ROOT)
    path = repository.removeprefix("https://github.com/")
    expected = f"https://colab.research.google.com/github/{path}/blob/{branch}/{chapter}.ipynb"
    found = [link["href"] for link in soup(chapter).select("a[href*='colab.research.google.com']")]
    assert len(found) >= 2, f"{chapter}: a button under the title and one in the bar"
    assert set(found) == {expected}
    assert (ROOT / f"{chapter}.ipynb").is_file()


@pytest.mark.parametrize("page", sorted(set(PAGES) - set(CHAPTERS)))
def test_a_page_that_is_no_notebook_has_no_colab_button(page):
    assert not soup(page).select("a[href*='colab.research.google.com']")


@each_chapter
def test_the_notebook_can_be_downloaded(chapter):
    link = soup(chapter).select_one("a.chapter-download")
    target = (HTML / f"{chapter}.html").parent / link["href"]
    assert target.read_bytes() == (ROOT / f"{chapter}.ipynb").read_bytes()


@each_page
def test_code_can_be_copied(page):
    if article(page).select("div.highlight"):
        assert soup(page).select("script[src*='copybutton']"), page


# ---- offline ---------------------------------------------------------------------------------------------

LOADED_BY = {
    "script": ["src"],
    "img": ["src", "srcset"],
    "iframe": ["src", "srcdoc"],
    "source": ["src", "srcset"],
    "video": ["src", "poster"],
    "audio": ["src"],
    "track": ["src"],
    "embed": ["src"],
    "object": ["data"],
    "input": ["src"],
    "use": ["href", "xlink:href"],
    "image": ["href", "xlink:href"],
}
FOREIGN = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
# links that name something without loading it
NAMING = {"canonical", "license", "author", "help", "next", "prev", "search", "index", "alternate"}
STYLE_LOADS = re.compile(
    r"url\(\s*['\"]?\s*((?:https?:)?//[^)'\"]+)|@import\s+['\"]((?:https?:)?//[^'\"]+)", re.IGNORECASE
)
SCRIPT_LOADS = re.compile(
    r"(?:fetch|import|importScripts|Worker|WebSocket|EventSource|getScript)\s*\(\s*['\"`]((?:https?|wss?):)?//"
    r"|\.(?:src|href)\s*=\s*['\"`](?:https?:)?//"
    r"|\bfrom\s+['\"](?:https?:)?//",
)


def loaded_from_elsewhere(page):
    """What a parsed page would load from another host, as a list of descriptions."""
    found = []
    for tag, attributes in LOADED_BY.items():
        for element in page.find_all(tag):
            values = [element.get(name) or "" for name in attributes]
            found += [f"<{tag}> {value[:90]}" for value in values if FOREIGN.match(value)]
    for link in page.find_all("link"):
        if FOREIGN.match(link.get("href", "")) and not NAMING.intersection(link.get("rel", [])):
            found.append(f"<link> {link['href']}")
    styles = [style.get_text() for style in page.find_all("style")]
    styles += [element["style"] for element in page.select("[style]")]
    found += [f"style {match.group(0)[:90]}" for style in styles for match in STYLE_LOADS.finditer(style)]
    scripts = [
        script.get_text() for script in page.find_all("script") if "json" not in script.get("type", "")
    ]
    found += [
        f"script {match.group(0)[:90]}" for script in scripts for match in SCRIPT_LOADS.finditer(script)
    ]
    return found


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/x.css">',
        '<img src="https://example.org/x.png">',
        '<iframe src="https://example.org"></iframe>',
        "<style>@import 'https://example.org/x.css';</style>",
        '<div style="background: url(https://example.org/x.png)"></div>',
        '<script>fetch("https://example.org/x")</script>',
        '<script type="module">import { x } from "https://example.org/x.js"</script>',
        '<script>element.src = "https://example.org/x.js"</script>',
    ],
)
def test_the_search_for_foreign_hosts_finds_them(text):
    assert loaded_from_elsewhere(BeautifulSoup(text, "html.parser"))


def test_no_page_loads_from_elsewhere():
    for path in written_pages():
        found = loaded_from_elsewhere(parsed(path))
        assert not found, f"{path.relative_to(HTML)} loads from elsewhere: {found}"


def test_no_style_sheet_loads_from_elsewhere():
    for path in HTML.rglob("*.css"):
        found = STYLE_LOADS.search(path.read_text(encoding="utf-8"))
        assert not found, f"{path.relative_to(HTML)}: {found.group(0)[:90]}"


@each_page
def test_what_a_page_loads_is_there(page):
    here = HTML / f"{page}.html"
    wanted = [tag["src"] for tag in soup(page).select("script[src], img[src]")]
    wanted += [tag["href"] for tag in soup(page).select("link[rel~='stylesheet'], link[rel~='icon']")]
    for address in wanted:
        path = urlparse(address)
        if path.scheme != "data":
            assert (here.parent / unquote(path.path)).resolve().is_file(), f"{page}: {address} is missing"


# ---- the build itself ------------------------------------------------------------------------------------


def small_book(folder, *cells):
    """A copy of the book with a front page, the references, and one chapter made of `cells`."""
    for name in ("_config.yml", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "gan_course").mkdir()
    shutil.copytree(ROOT / "book", folder / "book", ignore=shutil.ignore_patterns("_build", "vendor", "*.md"))
    (folder / "book/front.md").write_text("# Front\n\nWords.\n")
    (folder / "book/_toc.yml").write_text(
        "format: jb-book\nroot: book/front\nchapters:\n  - file: notebooks/chapter\n"
    )
    (folder / "notebooks").mkdir()
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )
    notebook.cells = [nbformat.v4.new_markdown_cell("# Chapter"), *map(nbformat.v4.new_code_cell, cells)]
    nbformat.write(notebook, folder / "notebooks/chapter.ipynb")


def build_small_book(folder):
    command = [sys.executable, "book/build.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.timeout(300)
def test_an_error_in_a_cell_fails_the_build(tmp_path):
    small_book(tmp_path, "1 / 0")
    result = build_small_book(tmp_path)
    assert result.returncode != 0
    assert "notebooks/chapter.ipynb stopped with an error" in result.stderr
    assert "ZeroDivisionError" in result.stderr


@pytest.mark.timeout(300)
def test_a_warning_on_a_page_fails_the_build(tmp_path):
    small_book(tmp_path, "import warnings\nwarnings.warn('this is not calm')")
    result = build_small_book(tmp_path)
    assert result.returncode != 0
    assert "stderr" in result.stderr and "chapter" in result.stderr
    assert not (tmp_path / "book/_build/built").exists()


@pytest.mark.parametrize("changed", ["gan_course/losses.py", "requirements.txt", "pyproject.toml"])
def test_the_execution_cache_depends_on(changed, tmp_path):
    small_book(tmp_path)
    (tmp_path / "gan_course/losses.py").write_text("a = 1\n")
    before = execution_key(tmp_path)
    assert execution_key(tmp_path) == before
    (tmp_path / "book/front.md").write_text("# Other words\n")
    assert execution_key(tmp_path) == before
    with (tmp_path / changed).open("a") as stream:
        stream.write("# changed\n")
    assert execution_key(tmp_path) != before


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_change_in_the_package_executes_again_and_nothing_else_does(tmp_path):
    small_book(tmp_path, "print('quiet')")
    assert "Executing 1 chapter" in build_small_book(tmp_path).stdout
    assert "up to date" in build_small_book(tmp_path).stdout
    (tmp_path / "book/front.md").write_text("# Front\n\nOther words.\n")
    result = build_small_book(tmp_path)
    assert "Executing" not in result.stdout and "The book is built" in result.stdout, result.stderr
    (tmp_path / "gan_course/new.py").write_text("answer = 42\n")
    assert "Executing 1 chapter" in build_small_book(tmp_path).stdout
