"""The notebooks as they are stored; the book's build checks that they run, and so do two slow tests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import stamp
from build import chapters

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])

MACHINE_PATHS = re.compile(r"(?<![\w.:/])/(?:home|Users|root|work|tmp|mnt|opt)/\w+|[A-Z]:\\\\Users")
RANDOM_ID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){0,3}(-[0-9a-f]{12})?$")


def read(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    return notebook


def cells_without_id(path, *ids):
    return [cell for cell in read(path).cells if cell.id not in ids]


@each_notebook
def test_is_stored_without_outputs(path):
    notebook = read(path)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs, f"{path.name}: cell {cell.id} is stored with outputs; clear them"
            assert cell.execution_count is None, f"{path.name}: cell {cell.id} has an execution count"
    assert "widgets" not in notebook.metadata, f"{path.name}: remove the stored widget state"


@each_notebook
def test_cell_ids_are_descriptive_and_unique(path):
    ids = [cell.id for cell in read(path).cells]
    doubled = {name for name in ids if ids.count(name) > 1}
    assert not doubled, f"{path.name}: ids used twice: {sorted(doubled)}"
    made_by_a_machine = [name for name in ids if RANDOM_ID.match(name)]
    assert not made_by_a_machine, f"{path.name}: name these cells: {made_by_a_machine}"


@each_notebook
def test_begins_with_a_title_then_setup_then_parameters(path):
    first, *rest = read(path).cells
    assert first.cell_type == "markdown" and first.source.startswith("# "), f"{path.name}: no title"
    titles = re.findall(r"^# .+", first.source, re.MULTILINE)
    assert len(titles) == 1, f"{path.name}: one title, not {titles}"
    code = [cell for cell in rest if cell.cell_type == "code"]
    assert [cell.id for cell in code[:2]] == ["setup", "parameters"], f"{path.name}: first code cells"
    assert "setup" in code[0].metadata.get("tags", []), f"{path.name}: tag the cell 'setup' as setup"
    tagged = [cell.id for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == ["parameters"], f"{path.name}: exactly the cell 'parameters' carries that tag"
    for name in ("FAST", "SEED"):
        assert re.search(rf"^{name} = ", code[1].source, re.MULTILINE), f"{path.name}: no {name}"


@each_notebook
def test_setup_cell_is_the_stamped_one(path, root):
    (cell,) = [cell for cell in read(path).cells if cell.id == "setup"]
    assert cell.source == stamp.setup_cell(root), f"{path.name}: its set-up cell differs; run: make stamp"


@each_notebook
def test_names_no_path_of_a_machine_and_no_cuda_call(path):
    for cell in read(path).cells:
        found = MACHINE_PATHS.search(cell.source)
        assert not found, f"{path.name}: cell {cell.id} names {found.group()}"
        assert ".cuda()" not in cell.source, f"{path.name}: cell {cell.id}: use the device of setup()"


@each_notebook
def test_installs_nothing_outside_the_setup_cell(path):
    for cell in cells_without_id(path, "setup"):
        if cell.cell_type == "code":
            assert not re.search(r"^\s*[!%]\s*pip\b", cell.source, re.MULTILINE), f"{path.name}: {cell.id}"


@each_notebook
def test_is_in_the_table_of_contents(path, root):
    assert path in chapters(root), f"{path.name} is not in book/_toc.yml"


@each_notebook
def test_exercises_say_how_hard_and_how_long_and_have_solutions(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    labels = re.findall(r"^[`:]{3,}\{exercise(?:-start)?\}[^\n]*\n:label: *(\S+)", text, re.MULTILINE)
    assert 3 <= len(labels) <= 6, f"{path.name}: {len(labels)} exercises; a chapter has 3 to 6"
    solved = set(re.findall(r"^[`:]{3,}\{solution(?:-start)?\} *(\S+)", text, re.MULTILINE))
    assert set(labels) == solved, f"{path.name}: exercises without solution, or the reverse"
    folded = re.findall(
        r"^[`:]{3,}\{solution(?:-start)?\} *\S+\n(?::label:.*\n)?:class: *dropdown", text, re.MULTILINE
    )
    assert len(folded) == len(solved), f"{path.name}: every solution is folded (:class: dropdown)"
    for label in labels:
        start = text.index(f":label: {label}")
        said = text[start : start + 400].lower()
        assert "difficulty" in said and "minute" in said, f"{path.name}: {label}: difficulty and minutes?"


def run(command, folder, **environment):
    variables = {**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1", "JUPYTER_PREFER_ENV_PATH": "1"}
    return subprocess.run(
        command, cwd=folder, env={**variables, **environment}, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_papermill_runs_a_chapter_and_sets_its_parameters(tmp_path):
    path = next((path for path in NOTEBOOKS if path.stem == "kl_divergence"), NOTEBOOKS[0])
    target = tmp_path / "executed.ipynb"
    options = ["-p", "FAST", "True", "-p", "SEED", "1", "--no-progress-bar"]
    result = run([sys.executable, "-m", "papermill", *options, str(path), str(target)], tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    executed = nbformat.read(target, as_version=4)
    injected = [cell for cell in executed.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert len(injected) == 1 and "SEED = 1" in injected[0].source
    last = [cell for cell in executed.cells if cell.cell_type == "code"][-1]
    assert last.execution_count, "the last cell did not run"


@pytest.mark.slow
@pytest.mark.timeout(900)
@each_notebook
def test_nbval_finds_every_cell_running(path, tmp_path):
    shutil.copy(path, tmp_path / path.name)
    options = ["-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-cell-timeout", "600"]
    command = [sys.executable, "-m", "pytest", *options, "-c", os.devnull, "--rootdir", ".", path.name]
    result = run(command, tmp_path, GAN_COURSE_FAST="1")
    assert result.returncode == 0, result.stdout[-3000:]
