"""What makes the repository fit to be public: one address, licences, hashes of vendored files, sizes."""

import hashlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import stamp
import yaml

ROOT = Path(__file__).resolve().parents[1]
VENDOR = ROOT / "book/_static/vendor"
MEBIBYTE = 2**20


def tracked_files():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    if not listed:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


# ---- the address -----------------------------------------------------------------------------------------


def test_the_address_is_the_same_everywhere():
    stale = [str(path.relative_to(ROOT)) for path in stamp.stale(ROOT)]
    assert not stale, f"these disagree with repository.url in _config.yml; run: make stamp\n{stale}"


def test_a_new_address_reaches_every_file(tmp_path):
    for path, _ in stamp.stamped_files(ROOT):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    config = (ROOT / "_config.yml").read_text()
    url, branch = stamp.address(ROOT)
    moved = config.replace(url, "https://github.com/someone/gans").replace(f"branch: {branch}", "branch: dev")
    (tmp_path / "_config.yml").write_text(moved)
    assert stamp.stale(tmp_path), "a changed address goes unnoticed"
    for path, text in stamp.stamped_files(tmp_path):
        path.write_text(text)
    assert not stamp.stale(tmp_path)
    owner = re.escape(url.removeprefix("https://github.com/"))
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert not re.search(rf"github\.com/(github/)?{owner}", path.read_text()), path


def test_colab_links_open_files_that_are_there():
    for path in [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]:
        for opened in re.findall(
            r"colab\.research\.google\.com/github/[^/]+/[^/]+/blob/[^/]+/([^)\"\s]+)", path.read_text()
        ):
            assert (ROOT / opened).is_file(), f"{path.name} opens {opened} on Colab; there is no such file"


# ---- what is not ours ------------------------------------------------------------------------------------


def test_vendored_files_are_those_of_their_packages():
    lines = (VENDOR / "SHA256SUMS").read_text().splitlines()
    expected = {name.removeprefix("./"): digest for digest, name in (line.split("  ", 1) for line in lines)}
    there = {
        path.relative_to(VENDOR).as_posix()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.parent != VENDOR
    }
    assert there == set(expected), "book/_static/vendor/SHA256SUMS does not name the files that are there"
    for name, digest in expected.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, f"{name} was changed"


def test_every_vendored_package_has_its_licence():
    rows = re.findall(r"^\| `([^`]+)/` \|", (VENDOR / "README.md").read_text(), re.MULTILINE)
    folders = {path.parent for path in VENDOR.rglob("LICENSE")}
    assert {VENDOR / row for row in rows} == folders


def test_licences_of_code_and_text():
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert "Attribution 4.0" in (ROOT / "LICENSE-TEXT").read_text()


# ---- what is installed -----------------------------------------------------------------------------------


def requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    return [*project["dependencies"], *filter(None, lines)]


@pytest.mark.parametrize("name", ["torch", "torchvision", "numpy", "pillow"])
def test_the_machines_own_stay(name):
    for line in requirements():
        if re.split(r"[\s<>=!~\[]", line)[0] == name:
            assert not re.search(r"<|==|~=", line), f"{line}: an upper pin would replace Colab's own {name}"


def test_jupyter_book_stays_below_two():
    (line,) = [line for line in requirements() if line.startswith("jupyter-book")]
    assert line == "jupyter-book>=1.0.4,<2"


# ---- what is tracked -------------------------------------------------------------------------------------


def test_no_large_file():
    large = [path.name for path in tracked_files() if path.stat().st_size > 5 * MEBIBYTE]
    assert not large, f"over 5 MiB: {large}"


def test_nothing_generated_is_tracked():
    names = [path.relative_to(ROOT).as_posix() for path in tracked_files()]
    generated = [
        name for name in names if re.search(r"(^|/)(_build|runs|__pycache__|\.venv|.*\.egg-info)/", name)
    ]
    assert not generated


def test_text_files_are_finished():
    unfinished = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    unwritten = re.compile(r"NotImplemented" + r"Error")  # what homework leaves to students
    homework = ("homework/", "gan_course/grading/", "book/student_guide.md", "tests/handed_in.py")
    for path in tracked_files():
        if path.suffix in {".py", ".md", ".ipynb", ".yml", ".toml", ".css"} and VENDOR not in path.parents:
            name, text = path.relative_to(ROOT).as_posix(), path.read_text()
            found = unfinished.search(text) or (not name.startswith(homework) and unwritten.search(text))
            assert not found, f"{name}: {found.group()}"


# ---- README, CONTRIBUTING, citation, workflows -------------------------------------------------------------


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "book/_static/vendor/README.md"])
def test_relative_links_lead_somewhere(name):
    path = ROOT / name
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)|(?:src|href)=\"([^\"#]+)\"", path.read_text()):
        link = target[0] or target[1]
        if not re.match(r"[a-z]+:", link):
            assert (path.parent / link).exists(), f"{name} links to {link}; there is no such file"


def test_readme_lists_the_methods_that_there_are():
    from gan_course import methods

    table = re.search(r"<!-- methods -->(.*?)<!-- /methods -->", (ROOT / "README.md").read_text(), re.DOTALL)
    listed = re.findall(r"^\| `([\w-]+)` \|.*\| ready \|$", table.group(1), re.MULTILINE)
    assert sorted(listed) == sorted(methods.names())


def test_citation_and_package_agree_on_the_version():
    from gan_course import __version__

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__


def test_workflows_are_yaml_and_pin_actions_by_major_version():
    workflows = sorted((ROOT / ".github/workflows").glob("*.yml"))
    assert {path.stem for path in workflows} == {"test", "book", "weekly", "grade-class"}
    for path in workflows:
        jobs = yaml.safe_load(path.read_text())["jobs"].values()
        for step in [step for job in jobs for step in job["steps"]]:
            if "uses" in step:
                assert re.fullmatch(r"[\w./-]+@v\d+", step["uses"]), f"{path.name}: {step['uses']}"


def test_every_command_of_make_is_explained():
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE).group(1).split()
    explained = re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE)
    assert set(phony) - set(explained) <= {"lint", "unit"}
    readme = (ROOT / "README.md").read_text()
    assert "make book" in readme and "make test" in readme
