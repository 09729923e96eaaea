"""The command line of `deploy.py`."""

import argparse
import json
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from deployer.files.document import is_unstorable

FLOWS = Path(__file__).resolve().parents[1] / "flows"


class Parser(argparse.ArgumentParser):
    """Ends with exit code 1 on a wrong command line, as 2 means that there are changes."""

    def error(self, message: str) -> NoReturn:
        """Print one line, and exit."""
        self.exit(1, f"{self.prog}: {message}; --help tells more\n")


def build_parser(description: str | None) -> argparse.ArgumentParser:
    """The parser of all commands; options of the same name mean the same everywhere."""
    flows, target, release = _flows(), _target(), _release()
    manifest = _file("MANIFEST", "of a release, from `pack` (the working tree)")
    manifest_or_plan = _file("FILE", "the manifest of a release, or a plan of `plan --out`")
    parser = Parser(description=description)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", parents=[flows, target], help="check every file, without a server")
    check.add_argument("--json", action="store_true", help="the problems and warnings, for tools")
    pack = commands.add_parser(
        "pack", parents=[flows, target, release], help="check, then pack the code and its manifest"
    )
    pack.add_argument("folder", type=Path, metavar="FOLDER", help="for the archive and its manifest")
    take = commands.add_parser(
        "take", parents=[target], help="verify what `pack` has left; print what the workers need, as JSON"
    )
    take.add_argument("folder", type=Path, metavar="FOLDER", help="with the archive and its manifest")
    plan = commands.add_parser("plan", parents=[flows, target, release, manifest], help="show what `apply` would do")
    plan.add_argument("--json", action="store_true", help="the plan, for tools")
    plan.add_argument("--out", type=Path, metavar="FILE", help="save the plan there, for `apply FILE` after a review")
    plan.add_argument("--markdown", type=Path, metavar="FILE", help="write the plan there too, for a comment")
    commands.add_parser(
        "apply", parents=[flows, target, release, manifest_or_plan], help="do what `plan` shows, and only that"
    )
    lock = commands.add_parser(
        "lock", help="show who holds the server's deploy lock, or take it from a holder that hangs"
    )
    lock.add_argument("action", choices=["status", "release"], help="release: a holder that still runs stops")
    commands.add_parser("ping", help="test that the server answers and accepts the login")
    run = commands.add_parser("run", help="run a deployment, follow it, and show why it failed")
    run.add_argument("deployment", metavar="FLOW/DEPLOYMENT")
    run.add_argument("--parameters", type=_parameters, default={}, metavar="JSON", help="an object")
    python = commands.add_parser("python", parents=[flows], help="print the Python of a project's environment")
    python.add_argument("project", metavar="PROJECT", help="a folder under flows/")
    python.add_argument("--dev", action="store_true", help="with the packages that its tests need")
    return parser


def _flows() -> Parser:
    parent = Parser(add_help=False)
    parent.add_argument("--flows", type=Path, default=FLOWS, metavar="DIR", help="folder of the projects (%(default)s)")
    return parent


def _target() -> Parser:
    parent = Parser(add_help=False)
    parent.add_argument("--target", metavar="NAME", help="one of flows/targets.yml")
    parent.add_argument(
        "--inventory", metavar="FILE", help="JSON with the environment's work_pools, secrets and notifications"
    )
    return parent


def _release() -> Parser:
    parent = Parser(add_help=False)
    parent.add_argument("--release", metavar="ID", help="the release whose code runs (that of the working tree)")
    for name, folder in (("flows", "/opt/prefect/flows"), ("envs", "/opt/prefect/flows/envs")):
        text = f"the workers' folder of their {name} (%(default)s)"
        default = PurePosixPath(folder)
        parent.add_argument(f"--{name}-root", type=PurePosixPath, default=default, metavar="DIR", help=text)
    return parent


def _file(metavar: str, text: str) -> Parser:
    parent = Parser(add_help=False)
    parent.add_argument("file", type=Path, nargs="?", metavar=metavar, help=text)
    parent.add_argument("--prune", action="store_true", help="delete registered resources that are not declared")
    return parent


def _parameters(text: str) -> dict[str, Any]:
    try:
        parameters = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not JSON: {error}") from None
    if not isinstance(parameters, dict):
        raise argparse.ArgumentTypeError(f'{text} is not an object, such as {{"day": "2026-11-20"}}')
    if is_unstorable(parameters):
        raise argparse.ArgumentTypeError("a text in it holds a NUL or half a character, which no server stores")
    return parameters
