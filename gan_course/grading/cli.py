"""The command line `gan-course homework ...`: release and verify for authors, check for students, grade."""

import argparse
import sys
from pathlib import Path
from typing import Any

from gan_course.grading import gradebook_cli, notebooks

HOMEWORK = Path("homework")


def add_homework(commands: Any) -> None:
    """Adds `homework` with its actions to the subparsers of the course's command line."""
    command = commands.add_parser(
        "homework",
        help="release, verify, check and grade homework",
        description="Homework that is graded by machine: for students check, for instructors the others.",
    )
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION")
    add_check(actions)
    add_release(actions)
    add_verify(actions)
    gradebook_cli.add_grade(actions)


def add_action(actions: Any, name: str, what: str, run: Any) -> argparse.ArgumentParser:
    action = actions.add_parser(
        name,
        help=what[0].lower() + what[1:],
        description=what + ".",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    action.set_defaults(run=run)
    return action


# ---- check ---------------------------------------------------------------------------------------


def add_check(actions: Any) -> None:
    action = add_action(
        actions, "check", "Run the visible checks of your notebook, as the grader will", run_check
    )
    action.add_argument("notebook", type=Path, help="the notebook, such as hw3.ipynb")
    action.add_argument(
        "--key", type=Path, metavar="FILE", help="its checks (default: hwN_checks.json beside it)"
    )
    action.add_argument("--timeout", type=float, default=120.0, metavar="S", help="seconds for a question")


def run_check(options: argparse.Namespace) -> None:
    """Prints what is right and wrong; exits with 1 where something is wrong."""
    from gan_course.grading import check, reports

    report = check.check(options.notebook, options.key, options.timeout)
    print(check.as_text(report))
    reports.tell_github([report], reports.as_markdown(report, "visible checks"))
    if report["points"] < report["possible"]:
        raise SystemExit(1)


# ---- release -------------------------------------------------------------------------------------


def add_release(actions: Any) -> None:
    action = add_action(actions, "release", "Verify a homework and write what a student gets", run_release)
    action.add_argument("name", help="hw3, the path of a homework folder, or all")
    action.add_argument("--to", type=Path, required=True, metavar="FOLDER",
                        help="where the release goes; of all, each into a folder there")  # fmt: skip
    action.add_argument(
        "--key", type=Path, metavar="FOLDER", help="where the instructor's key goes, likewise"
    )
    action.add_argument("--homework", type=Path, default=HOMEWORK, metavar="FOLDER", help="where they lie")
    action.add_argument("--unverified", action="store_true", help="do not run known answers first")


def run_release(options: argparse.Namespace) -> None:
    from gan_course.grading import release
    from gan_course.grading.verify import reference

    if options.unverified:
        print("NOT VERIFIED: nobody knows whether the checks tell right from wrong", file=sys.stderr)
    refused = []
    for folder in chosen_folders(options.name, options.homework):
        found = reference(folder) if options.unverified else verified(folder)
        if found.problems and not options.unverified:
            refused.append(f"{folder}: {problems_in_words(len(found.problems))}")
            continue
        part = folder.name if options.name == "all" else "."
        release.write_release(found.source, found.key, options.to / part)
        print(f"  for students: {options.to / part}")
        if options.key:
            release.write_key(found.source, found.key, options.key / part)
            print(f"  the key, for the instructor only: {options.key / part}")
    if refused:
        raise ValueError("not released: " + "; ".join(refused))


# ---- verify --------------------------------------------------------------------------------------


def add_verify(actions: Any) -> None:
    action = add_action(
        actions, "verify", "Run known right and wrong answers against the grader of a homework", run_verify
    )
    action.add_argument("name", help="hw3, the path of a homework folder, or all")
    action.add_argument("--homework", type=Path, default=HOMEWORK, metavar="FOLDER", help="where they lie")
    action.add_argument("--nbval", action="store_true", help="run every answer as a student's, in minutes")


def run_verify(options: argparse.Namespace) -> None:
    problems = sum(
        len(verified(folder, options.nbval).problems)
        for folder in chosen_folders(options.name, options.homework)
    )
    if problems:
        raise ValueError(problems_in_words(problems))


def verified(folder: Path, nbval: bool = False) -> Any:
    """What came out of verifying a homework: printed, and published where there is no problem."""
    from gan_course.grading import catch_rates
    from gan_course.grading.runner import NbvalRunner
    from gan_course.grading.verify import verify

    found = verify(folder, NbvalRunner() if nbval else None)
    print_verified(found)
    if not found.problems:
        catch_rates.update(folder.parent, catch_rates.of(found))
    return found


def problems_in_words(count: int) -> str:
    return f"{count} problem{'s' if count > 1 else ''}, listed above"


def chosen_folders(name: str, homework: Path) -> list[Path]:
    if name != "all":
        return [notebooks.find_homework(name, homework)]
    folders = notebooks.homework_folders(homework)
    if not folders:
        raise FileNotFoundError(f"no homework in {homework}")
    return folders


def print_verified(found: Any) -> None:
    """What came out, for the eyes."""
    checks = [check for question in found.key.questions for check in question.checks]
    print(
        f"{found.source.homework} {found.source.title}: "
        f"{len(found.key.questions)} questions, {len(checks)} checks"
    )
    print(f"  {found.caught} of {found.mutants} planted wrong answers caught")
    print(f"  {found.alternatives} other right ways of writing it")
    for problem in found.problems:
        print(f"  PROBLEM: {problem}")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """The homework commands by themselves, without the imports of the rest of the course."""
    top = argparse.ArgumentParser(prog="gan-course", allow_abbrev=False)
    add_homework(top.add_subparsers(required=True, metavar="COMMAND"))
    options = top.parse_args(arguments)
    try:
        return options.run(options) or 0
    except KeyboardInterrupt:
        return 130
    except (ValueError, OSError) as error:
        print(f"gan-course: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
