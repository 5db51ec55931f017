"""What is written of one graded submission: report.json, feedback for the student, results for a CI system.

Nothing here shows a hidden check or a reference value: a report holds none. What a student wrote, and what
the student's process said, is untrusted text, and made harmless for the place where it is put.
"""

import html
import json
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from gan_course.grading.key import Key

LONGEST = 1000  # letters of a message
ANNOTATIONS = 10  # that GitHub shows of one step
STEP_SUMMARY = 900_000  # bytes; GitHub's limit is 1 MiB

WORDS = {
    "right": "right",
    "wrong": "not right yet",
    "error": "stopped with an error",
    "timeout": "took too long",
    "killed": "ended its process",
    "missing": "not there",
}


def plain(text: Any, longest: int = LONGEST) -> str:
    """One line of printable letters: no control characters, no change of writing direction, not too long."""
    told = " ".join(str(text)[: 4 * longest].split())
    told = "".join(one for one in told if unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    return told if len(told) <= longest else told[: longest - 3] + "..."


def markdown(text: Any, longest: int = LONGEST) -> str:
    """As it stands, when shown as markdown."""
    return re.sub(r"([\\`*_{}\[\]#|~@!])", r"\\\1", html.escape(plain(text, longest), quote=False))


def points_of(points: Any, possible: Any) -> str:
    return f"{points:g} of {possible:g}"


def write(report: dict[str, Any], key: Key, folder: Path) -> None:
    """All files of one submission."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(as_json(report), encoding="utf-8")
    (folder / "feedback.md").write_text(as_markdown(report, key.title), encoding="utf-8")
    (folder / "feedback.html").write_text(as_html(report, key.title), encoding="utf-8")
    (folder / "junit.xml").write_text(as_junit(report), encoding="utf-8")


def as_json(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def visible_word(check: dict[str, Any]) -> str:
    return "visible" if check["visible"] else "hidden"


# ---- for the student -------------------------------------------------------------------------------------


def isolation_in_words(isolation: dict[str, Any]) -> str:
    """One sentence on what the submission was locked in by."""
    if not isolation:
        return "Nothing of it was run."
    spaces = isolation.get("namespaces") or []
    own = f"namespaces of its own ({', '.join(spaces)})" if spaces else "no namespaces of its own"
    why = f" ({plain(isolation['why_not'], 100)})" if isolation.get("why_not") else ""
    limits = isolation.get("limits", {})
    return (
        f"It ran in {own}{why}; files: {plain(isolation.get('root', 'the machine'), 200)}; user: "
        f"{plain(isolation.get('user', ''), 40)}; limits: {limits.get('memory_mib')} MiB of memory, "
        f"{limits.get('cpu_seconds')} s of processor time, {limits.get('processes')} processes, files of "
        f"{limits.get('file_mib')} MiB."
    )


def lines_of_run(run: dict[str, Any] | None) -> list[str]:
    """What happened when the whole notebook was executed: it does not count."""
    if not run:
        return []
    told = []
    if run.get("stopped"):
        told.append(f"It was stopped: {run['stopped']}.")
    shown = run["errors"][:10]
    told += [f"Cell {error['cell']} stopped: {error['message']}" for error in shown]
    if len(run["errors"]) > len(shown):
        told.append(f"{len(run['errors']) - len(shown)} more cells stopped.")
    return told or [f"All {run['cells']} code cells ran."]


def as_markdown(report: dict[str, Any], title: str) -> str:
    """The feedback as a page of markdown."""
    lines = [f"# {markdown(report['homework'])} {markdown(title)}: {markdown(report['submission'])}", ""]
    lines += [f"**{points_of(report['points'], report['possible'])} points** graded by machine.", ""]
    if report.get("message"):
        lines += [markdown(report["message"]), ""]
    lines += ["| question | points | |", "|---|---|---|"]
    for one in report["questions"]:
        lines.append(
            f"| {markdown(one['question'])} | {points_of(one['points'], one['possible'])} "
            f"| {WORDS[one['status']]} |"
        )
    for one in report["questions"]:
        if one["messages"]:
            lines += ["", f"## {markdown(one['question'])}", ""]
            lines += [f"- {markdown(message)}" for message in one["messages"]]
            counts = passed(one)
            if counts:
                lines += ["", counts]
    if report["reports"]:
        lines += ["", "## Graded by your instructor", ""]
        for one in report["reports"]:
            state = "" if one.get("answered") else " (nothing written yet)"
            lines.append(f"- {markdown(one['question'])}: {one['possible']:g} points{state}")
    told = lines_of_run(report.get("run"))
    if told:
        lines += ["", "## The whole notebook, from top to bottom", "", "This does not count.", ""]
        lines += [f"- {markdown(line)}" for line in told]
    lines += ["", "---", "", markdown(isolation_in_words(report["isolation"])), ""]
    return "\n".join(lines)


def passed(question: dict[str, Any]) -> str:
    """How many checks passed, visible and hidden."""
    told = []
    for word, visible in (("visible", True), ("hidden", False)):
        checks = [check for check in question["checks"] if check["visible"] is visible]
        if checks:
            right = sum(check["points"] == check["possible"] for check in checks)
            told.append(f"{right} of {len(checks)} {word} checks passed")
    return "; ".join(told) + "." if told else ""


STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .6rem;
  border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); vertical-align: top; }
td { overflow-wrap: anywhere; }
.bar { background: #0072b2; height: .8rem; display: inline-block; } .small { font-size: .85rem; opacity: .8; }
td.number { text-align: right; white-space: nowrap; }
"""


def page(title: str, body: Iterable[str]) -> str:
    """An HTML page that needs nothing from elsewhere and runs no script, whatever stands in it."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style></head>\n"
        "<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def shown(text: Any, longest: int = LONGEST) -> str:
    """As it stands, when shown as HTML."""
    return html.escape(plain(text, longest), quote=True)


def as_html(report: dict[str, Any], title: str) -> str:
    """The feedback as a page."""
    name = f"{shown(report['homework'])} {shown(title)}: {shown(report['submission'])}"
    body = [f"<h1>{name}</h1>"]
    body.append(
        f"<p><strong>{points_of(report['points'], report['possible'])} points</strong> graded by machine.</p>"
    )
    if report.get("message"):
        body.append(f"<p>{shown(report['message'])}</p>")
    body.append("<table><tr><th>question</th><th>points</th><th></th></tr>")
    for one in report["questions"]:
        body.append(
            f"<tr><td>{shown(one['question'])}</td><td>{points_of(one['points'], one['possible'])}</td>"
            f"<td>{WORDS[one['status']]}</td></tr>"
        )
    body.append("</table>")
    for one in report["questions"]:
        if one["messages"]:
            body.append(f"<h2>{shown(one['question'])}</h2><ul>")
            body += [f"<li>{shown(message)}</li>" for message in one["messages"]]
            body.append(f"</ul><p>{passed(one)}</p>")
    if report["reports"]:
        body.append("<h2>Graded by your instructor</h2><ul>")
        for one in report["reports"]:
            state = "" if one.get("answered") else " (nothing written yet)"
            body.append(f"<li>{shown(one['question'])}: {one['possible']:g} points{state}</li>")
        body.append("</ul>")
    told = lines_of_run(report.get("run"))
    if told:
        body.append("<h2>The whole notebook, from top to bottom</h2><p>This does not count.</p><ul>")
        body += [f"<li>{shown(line)}</li>" for line in told]
        body.append("</ul>")
    body.append(f'<hr><p class="small">{shown(isolation_in_words(report["isolation"]))}</p>')
    return page(name, body)


# ---- for CI ----------------------------------------------------------------------------------------------


def as_junit(report: dict[str, Any]) -> str:
    """One test case for each check."""
    cases, failures = [], 0
    for one in report["questions"]:
        for number, check in enumerate(one["checks"], 1):
            name = f"check {number} ({visible_word(check)}, {check['possible']:g} points)"
            head = f"  <testcase classname={quoted(one['question'])} name={quoted(name)}"
            if check["points"] == check["possible"]:
                cases.append(f"{head}/>")
                continue
            failures += 1
            message = check["message"] or WORDS[one["status"]]
            told = f"<failure message={quoted(message)}>{escape(plain(message))}</failure>"
            cases.append(f"{head}>\n   {told}\n  </testcase>")
    head = f'<testsuite name={quoted(report["submission"])} tests="{len(cases)}" failures="{failures}">'
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<testsuites>", head, *cases]
    return "\n".join([*lines, "</testsuite>", "</testsuites>", ""])


def quoted(text: Any) -> str:
    return quoteattr(plain(text))


def annotations(reports: Iterable[dict[str, Any]]) -> list[str]:
    """GitHub's workflow commands for what is not right: ten at most; the last says how many are left out."""
    found = []
    for report in reports:
        if report.get("message"):
            found.append((report["submission"], "unreadable", report["message"]))
            continue
        for one in report["questions"]:
            if one["status"] != "right":
                told = one["messages"][0] if one["messages"] else WORDS[one["status"]]
                title = f"{one['question']}: {points_of(one['points'], one['possible'])}"
                found.append((report["submission"], title, told))
    if len(found) > ANNOTATIONS:
        left = len(found) - ANNOTATIONS + 1
        found = [*found[: ANNOTATIONS - 1], ("", "and more", f"{left} more are in the summary of this step")]
    return [
        f"::error title={property_of(f'{name} {title}'.strip())}::{command_text(told)}"
        for name, title, told in found
    ]


def command_text(text: Any) -> str:
    """Text that cannot become another workflow command."""
    return plain(text, 500).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def property_of(text: Any) -> str:
    return command_text(text).replace(":", "%3A").replace(",", "%2C")


def tell_github(reports: Iterable[dict[str, Any]], summary: str) -> None:
    """Annotations and the step's summary, where this runs in GitHub Actions; elsewhere nothing."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    for line in annotations(reports):
        print(line, flush=True)
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(summary.encode()[:STEP_SUMMARY].decode("utf-8", "ignore") + "\n")
