"""The command `gan-course homework grade`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from gan_course.grading.limits import Limits


def add_grade(actions: Any) -> None:
    """Adds `grade` to the actions of `gan-course homework`."""
    action = actions.add_parser(
        "grade",
        help="grade a class",
        description="Grade every submission in a folder, each locked in by itself, and write a gradebook. "
        "Run it again after a change, or after it was stopped: only what is not graded yet is.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    action.add_argument(
        "submissions", type=Path, metavar="SUBMISSIONS", help="a file or folder for each student"
    )
    action.add_argument(
        "--key", required=True, metavar="KEY", help="written by release --key; or a homework's folder"
    )
    action.add_argument("--out", type=Path, required=True, metavar="REPORT", help="folder of the reports")
    action.add_argument(
        "--workers", type=int, metavar="N", default=argparse.SUPPRESS, help="at a time (default: one a core)"
    )
    action.add_argument(
        "--roster", type=Path, metavar="CSV", default=argparse.SUPPRESS, help="names, for one row each"
    )
    action.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds for a question")
    action.add_argument(
        "--run-timeout", type=float, default=300.0, metavar="S",
        help="seconds for the whole notebook, executed for feedback; 0: leave that out",
    )  # fmt: skip
    action.add_argument(
        "--memory", type=int, default=Limits.memory_mib, metavar="MIB", help="memory of a submission"
    )
    action.add_argument("--visible-only", action="store_true", help="leave the hidden checks out")
    action.set_defaults(run=run_grade)


def run_grade(options: argparse.Namespace) -> None:
    from gan_course.grading import key as keys
    from gan_course.grading.batch import Settings, grade_class
    from gan_course.grading.gradebook import summary_markdown
    from gan_course.grading.reports import tell_github

    chosen = {"workers": options.workers} if "workers" in options else {}
    settings = Settings(
        seconds=options.timeout,
        run_seconds=options.run_timeout,
        limits=Limits(memory_mib=options.memory),
        visible_only=options.visible_only,
        **chosen,
    )
    roster = getattr(options, "roster", None)
    key = keys.load(options.key)
    key_place = Path(options.key) if Path(options.key).exists() else None
    try:
        result = grade_class(options.submissions, key, options.out, settings, roster, key_place)
    except KeyboardInterrupt:
        print("\nStopped. What was graded is kept; the same command goes on from there.", file=sys.stderr)
        raise
    warn(result.reports)
    tell_github(result.reports, summary_markdown(result.rows, key))
    print(
        f"{options.out}: {len(result.reports)} submissions, {result.graded} graded now, "
        f"{result.kept} before, in {result.seconds:.0f} s"
    )
    print(f"  {options.out / 'gradebook.csv'}\n  {options.out / 'summary.html'}")


def warn(reports: list[dict[str, Any]]) -> None:
    """What an instructor should know before relying on the result."""
    ran = [report["isolation"] for report in reports if report["isolation"]]
    open_files = sum("read-only" not in isolation.get("root", "") for isolation in ran)
    if open_files:
        print(
            f"WARNING: this system gave {open_files} of {len(ran)} submissions no file system of their own "
            f"({ran[0].get('why_not') or ran[0].get('root')}): they could have read the key. "
            "See 'What protects you' in the instructor's guide.",
            file=sys.stderr,
        )
    failed = [report["submission"] for report in reports if report["status"] == "failed"]
    if failed:
        print(f"WARNING: not graded, run the command again: {', '.join(failed[:10])}", file=sys.stderr)
