"""The command line `gan-course homework ...`: release and verify for authors, check for students, grade."""

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

from gan_course.grading import notebooks

HOMEWORK = Path("homework")


def add_homework(commands: Any) -> None:
    """Adds `homework` with its actions to the subparsers of the course's command line."""
    command = commands.add_parser(
        "homework", help="release, verify, check and grade homework", description="Homework that is graded."
    )
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION")
    add_verify(actions)
    if importlib.util.find_spec("gan_course.grading.gradebook_cli"):
        from gan_course.grading import gradebook_cli

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


# ---- verify --------------------------------------------------------------------------------------


def add_verify(actions: Any) -> None:
    action = add_action(
        actions, "verify", "Run known right and wrong answers against the grader of a homework", run_verify
    )
    action.add_argument("name", help="hw3, the path of a homework folder, or all")
    action.add_argument("--homework", type=Path, default=HOMEWORK, metavar="FOLDER", help="where they lie")
    action.add_argument("--nbval", action="store_true", help="run every answer as a student's, in minutes")


def run_verify(options: argparse.Namespace) -> None:
    from gan_course.grading.runner import NbvalRunner
    from gan_course.grading.verify import verify

    folders = chosen_folders(options.name, options.homework)
    problems = 0
    for folder in folders:
        found = verify(folder, NbvalRunner() if options.nbval else None)
        print_verified(found)
        problems += len(found.problems)
    if problems:
        raise ValueError(f"{problems} problem{'s' if problems > 1 else ''}, listed above")


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
    except (ValueError, OSError) as error:
        print(f"gan-course: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
