"""What is written of a class: the gradebook, one row for each name, and a summary."""

import contextlib
import csv
import io
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan_course.grading.key import Key
from gan_course.grading.reports import (
    isolation_in_words,
    markdown,
    page,
    plain,
    points_of,
    shown,
)

ENCODING = "utf-8-sig"  # spreadsheet programs then read umlauts
FORMULA = "=+-@\t\r"
BINS = 10
NAME_COLUMNS = ("name", "student", "full name", "full_name")


# ---- the roster ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Student:
    """A row of the roster: a name, and whatever else stands in it."""

    name: str
    fields: dict[str, str] = field(default_factory=dict)


def read_roster(path: Path) -> list[Student]:
    """Names from a CSV file with a column "name" (or "student"); a file without a header is a list of names.

    Raises FileNotFoundError or ValueError, naming the file and what would be right.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        text = Path(path).read_bytes().decode("cp1252", "replace")
    if not text.strip():
        raise ValueError(f"{path} is empty; it should have a column 'name', and a row for each student")
    first = text.lstrip().splitlines()[0]
    delimiter = max(",;\t", key=first.count)
    rows = [
        row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(cell.strip() for cell in row)
    ]
    header = [cell.strip().lower() for cell in rows[0]]
    column = next((header.index(name) for name in NAME_COLUMNS if name in header), None)
    if column is None and {"first name", "last name"} <= set(header):
        both = header.index("first name"), header.index("last name")
        return [student(header, row, " ".join(cell(row, one) for one in both)) for row in rows[1:]]
    if column is None:
        if len(header) > 1:
            raise ValueError(f"{path} has the columns {', '.join(header)}; it needs one called 'name'")
        return unique([Student(cell(row, 0)) for row in rows], path)
    return unique([student(header, row, cell(row, column)) for row in rows[1:]], path)


def cell(row: Sequence[str], column: int) -> str:
    return row[column].strip() if column < len(row) else ""


def student(header: Sequence[str], row: Sequence[str], name: str) -> Student:
    fields = {column: value.strip() for column, value in zip(header, row, strict=False) if value.strip()}
    return Student(name, fields)


def unique(students: list[Student], path: Path) -> list[Student]:
    for name, count in Counter(one.name for one in students).items():
        if count > 1 or not name:
            raise ValueError(f"{path}: {f'{name!r} stands {count} times' if name else 'a row has no name'}; "
                             "each row needs a name of its own")  # fmt: skip
    return students


def words(text: str) -> frozenset[str]:
    """The parts of a name, whatever stands between them: "Lovelace, Ada" and ada_lovelace are the same."""
    return frozenset(re.findall(r"[^\W_]+", text.casefold()))


def match(names: Iterable[str], students: Sequence[Student]) -> dict[str, Student]:
    """The student of each submission that can be told: some field of the roster stands in its name.

    Whole words only; where several students fit, the one with the longest match; where that is open, none.
    """
    found = {}
    for name in names:
        parts = words(Path(name).stem if name.endswith(".ipynb") else name)
        fits = []
        for one in students:
            for value in {one.name, *one.fields.values()}:
                wanted = words(value)
                long_enough = sum(map(len, wanted)) > 2 or wanted == parts
                if wanted and wanted <= parts and long_enough:
                    fits.append((wanted == parts, sum(map(len, wanted)), one))
        best = max((fit[:2] for fit in fits), default=None)
        owners = {fit[2].name: fit[2] for fit in fits if fit[:2] == best}
        if len(owners) == 1:
            found[name] = next(iter(owners.values()))
    return found


# ---- the gradebook ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A line of the gradebook. `reports`: of all submissions by that student; the best one counts."""

    name: str
    reports: tuple[dict[str, Any], ...]
    on_roster: bool

    @property
    def report(self) -> dict[str, Any] | None:
        return max(self.reports, key=lambda one: (one["status"] == "graded", one["points"]), default=None)

    @property
    def status(self) -> str:
        if self.report is None:
            return "no submission"
        status = self.report["status"]
        more = f", best of {len(self.reports)}" if len(self.reports) > 1 else ""
        return status + more + ("" if self.on_roster else ", not on the roster")


def rows_of(reports: Sequence[dict[str, Any]], students: Sequence[Student] | None) -> list[Row]:
    """One row for each name on the roster, in its order, then one for each submission that fits none."""
    if students is None:
        return [Row(name_of(one), (one,), True) for one in reports]
    owners = match([one["submission"] for one in reports], students)
    rows = []
    for one in students:
        own = tuple(
            r for r in reports if r["submission"] in owners and owners[r["submission"]].name == one.name
        )
        rows.append(Row(one.name, own, True))
    return rows + [Row(name_of(r), (r,), False) for r in reports if r["submission"] not in owners]


def name_of(report: dict[str, Any]) -> str:
    """What a submission is called where no roster tells."""
    return report["submission"].removesuffix(".ipynb")


def columns_of(key: Key) -> tuple[list[str], list[str]]:
    """Columns that are written by the grader, and those that are left for the instructor to fill."""
    written = ["name", "submission", "status", "points", "possible"]
    written += [question.name for question in key.questions]
    rubric = [
        f"{report.question}: {one['name']} (of {one['points']:g})"
        for report in key.reports
        for one in report.criteria
    ]
    rubric += [f"{report.question} (of {report.points:g})" for report in key.reports if not report.criteria]
    return written, [*rubric, "comment"]


def write_gradebook(path: Path, rows: Sequence[Row], key: Key) -> None:
    """gradebook.csv. What an instructor has filled in stays, by name and column."""
    written, filled = columns_of(key)
    before = read_filled(path)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*written, *map(harmless, filled)])
    for row in rows:
        report = row.report
        values: list[Any] = [row.name, report["submission"] if report else "", row.status]
        values += [report["points"], report["possible"]] if report else ["0", f"{key.possible:g}"]
        by_name = {one["question"]: one["points"] for one in report["questions"]} if report else {}
        values += [by_name.get(question.name, 0) for question in key.questions]
        kept = before.get(harmless(row.name), {})
        values += [kept.get(harmless(column), "") for column in filled]
        table.writerow([harmless(value) for value in values])
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text.getvalue(), encoding=ENCODING)
    temporary.replace(path)


def read_filled(path: Path) -> dict[str, dict[str, str]]:
    with (
        contextlib.suppress(OSError, UnicodeDecodeError, csv.Error),
        path.open(encoding=ENCODING, newline="") as file,
    ):
        return {row.get("name", ""): row for row in csv.DictReader(file)}
    return {}


def harmless(value: Any) -> str:
    """A cell that no spreadsheet program takes for a formula."""
    text = plain(value) if isinstance(value, str) else f"{value:g}"
    if text and text[0] in FORMULA and not re.fullmatch(r"-?\d+(\.\d+)?", text):
        return "'" + text
    return text


# ---- the summary -----------------------------------------------------------------------------------------


def hardest(reports: Sequence[dict[str, Any]], key: Key) -> list[tuple[str, float, str]]:
    """Questions by the share of their points that was reached, lowest first; with the commonest message."""
    found = []
    for question in key.questions:
        own = [one for report in reports for one in report["questions"] if one["question"] == question.name]
        possible = sum(one["possible"] for one in own)
        share = sum(one["points"] for one in own) / possible if possible else 0.0
        told = Counter(message for one in own for message in one["messages"][:1])
        best = min(told, key=lambda message: (-told[message], message), default="")
        often = "once" if told[best] == 1 else f"{told[best]} times"
        found.append((question.name, share, f"{often}: {best}" if best else ""))
    return sorted(found, key=lambda one: (one[1], one[0]))


def distribution(reports: Sequence[dict[str, Any]]) -> list[int]:
    """How many reached 0 to 9%, 10 to 19%, ... of the points; all of them is in the last bin."""
    counts = [0] * BINS
    for report in reports:
        share = report["points"] / report["possible"] if report["possible"] else 0
        counts[min(int(share * BINS), BINS - 1)] += 1
    return counts


def facts(rows: Sequence[Row], reports: Sequence[dict[str, Any]]) -> list[str]:
    states = Counter(row.status.split(",")[0] for row in rows)
    lines = [
        f"{len(rows)} names: "
        + ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        + "."
    ]
    if reports:
        points = [report["points"] for report in reports]
        possible = reports[0]["possible"]
        lines.append(
            f"Points by machine, of {possible:g}: median {statistics.median(points):g}, "
            f"mean {statistics.fmean(points):.1f}, from {min(points):g} to {max(points):g}."
        )
    return lines


def summary_markdown(rows: Sequence[Row], key: Key) -> str:
    """The class on a page of markdown."""
    reports = [row.report for row in rows if row.report]
    lines = [f"# {markdown(key.homework)} {markdown(key.title)}: the class", "", *facts(rows, reports), ""]
    lines += ["| points | submissions |", "|---|---|"]
    for number, count in enumerate(distribution(reports)):
        lines.append(f"| {bin_name(number)} | {'█' * count} {count or ''} |")
    lines += [
        "",
        "## The hardest questions",
        "",
        "| question | points reached | most frequent message |",
        "|---|---|---|",
    ]
    for name, share, told in hardest(reports, key):
        lines.append(f"| {markdown(name)} | {share:.0%} | {markdown(told, 300)} |")
    lines += ["", "## Everyone", "", "| name | status | points |", "|---|---|---|"]
    for row in rows:
        points = points_of(row.report["points"], row.report["possible"]) if row.report else ""
        lines.append(f"| {markdown(row.name)} | {markdown(row.status)} | {points} |")
    lines += ["", *(markdown(line) for line in isolations(reports)), ""]
    return "\n".join(lines)


def bin_name(number: int) -> str:
    return f"{number * 10} to {100 if number == BINS - 1 else number * 10 + 9}%"


def isolations(reports: Sequence[dict[str, Any]]) -> list[str]:
    """How submissions were locked in: one line, unless it was not the same for all."""
    return sorted({isolation_in_words(report["isolation"]) for report in reports if report["isolation"]})


def summary_html(rows: Sequence[Row], key: Key, folders: dict[str, str]) -> str:
    """The class on a page, with links to everyone's feedback."""
    reports = [row.report for row in rows if row.report]
    title = f"{shown(key.homework)} {shown(key.title)}: the class"
    body = [f"<h1>{title}</h1>", *(f"<p>{shown(line)}</p>" for line in facts(rows, reports))]
    counts = distribution(reports)
    body.append("<table><tr><th>points</th><th>submissions</th></tr>")
    for number, count in enumerate(counts):
        part = count / max(*counts, 1)
        width = f"min({30 * part:.2f}rem, {50 * part:.1f}vw)"  # a phone is narrower
        bar = f'<span class="bar" style="width:{width}"></span> {count}' if count else ""
        body.append(f"<tr><td>{bin_name(number)}</td><td>{bar}</td></tr>")
    body.append("</table><h2>The hardest questions</h2>")
    body.append("<table><tr><th>question</th><th>points reached</th><th>most frequent message</th></tr>")
    for name, share, told in hardest(reports, key):
        body.append(f"<tr><td>{shown(name)}</td><td>{share:.0%}</td><td>{shown(told, 300)}</td></tr>")
    body.append("</table><h2>Everyone</h2><table><tr><th>name</th><th>status</th><th>points</th></tr>")
    for row in rows:
        name, points = shown(row.name), ""
        if row.report:
            name = f'<a href="{shown(folders[row.report["submission"]])}/feedback.html">{name}</a>'
            points = points_of(row.report["points"], row.report["possible"])
        body.append(f"<tr><td>{name}</td><td>{shown(row.status)}</td><td>{points}</td></tr>")
    body.append("</table>")
    body += [f'<p class="small">{shown(line)}</p>' for line in isolations(reports)]
    return page(title, body)
