#!/usr/bin/env python3
"""Check the data flows under `flows/`, show what registering them would change, and do it.

Run it with the control machine's Python, `.venv/bin/python`. Exit codes: 0 done, or nothing to change; 2 `plan` found
changes; 1 an error, which is told in one line each.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from deployer.check import Checked, PythonOf, check
from deployer.commands import make_command
from deployer.desired import Release, desired
from deployer.files import inventory
from deployer.files.document import unstorable
from deployer.files.targets_yml import PRODUCTION
from deployer.flows import environments
from deployer.flows import release as archive
from deployer.flows.project import find, system_packages
from deployer.model import manifest as state
from deployer.model.errors import DeployError
from deployer.server import connection as server
from deployer.server import report
from deployer.server.apply import alone, apply
from deployer.server.flow_run import run
from deployer.server.kinds.deployments import releases
from deployer.server.plan import make

CHANGES = 2


def main(arguments: list[str] | None = None, python_of: PythonOf = environments.python) -> int:
    """Run one command and return its exit code; `python_of` finds the Python that imports a project's flows."""
    options = _parser().parse_args(arguments)
    try:
        match options.command:
            case "check":
                return _check(options, python_of)
            case "pack":
                _pack(options, python_of)
            case "take":
                _take(options)
            case "plan":
                return asyncio.run(_plan(options, _state(options, python_of)))
            case "apply":
                asyncio.run(_apply(options, _state(options, python_of)))
            case "ping":
                asyncio.run(_ping())
            case "run":
                return asyncio.run(_run(options))
            case "python":
                print(environments.python(find(options.flows, options.project), options.dev))
    except DeployError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    flows = argparse.ArgumentParser(add_help=False)
    default = Path(__file__).resolve().parent / "flows"
    flows.add_argument(
        "--flows", type=Path, default=default, metavar="DIR", help="folder of the projects (%(default)s)"
    )
    environments = argparse.ArgumentParser(add_help=False)
    environments.add_argument("--target", metavar="NAME", help="one of flows/targets.yml")
    environments.add_argument(
        "--inventory", metavar="FILE", help="JSON with the environment's work_pools, secrets and notifications"
    )
    releases = argparse.ArgumentParser(add_help=False)
    releases.add_argument("--release", metavar="ID", help="the release whose code runs (that of the working tree)")
    for name, folder in (("flows", "/opt/prefect/flows"), ("envs", "/opt/prefect/flows/envs")):
        text = f"where the workers keep their {name} (%(default)s)"
        default = PurePosixPath(folder)
        releases.add_argument(f"--{name}-root", type=PurePosixPath, default=default, metavar="DIR", help=text)
    manifests = argparse.ArgumentParser(add_help=False)
    manifests.add_argument(
        "manifest", type=Path, nargs="?", metavar="MANIFEST", help="what `pack` kept of a release (the working tree)"
    )
    manifests.add_argument("--prune", action="store_true", help="delete what was registered and is declared no more")

    parser = _Parser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", parents=[flows, environments], help="check every file, without a server")
    checking.add_argument("--json", action="store_true", help="what is wrong, for tools")
    packing = commands.add_parser(
        "pack", parents=[flows, environments, releases], help="check, then pack the code and what it wants registered"
    )
    packing.add_argument("folder", type=Path, metavar="FOLDER", help="where archive and manifest go")
    taking = commands.add_parser(
        "take", parents=[environments], help="refuse what `pack` did not leave; tell what the workers need, as JSON"
    )
    taking.add_argument("folder", type=Path, metavar="FOLDER", help="where archive and manifest are")
    planning = commands.add_parser(
        "plan", parents=[flows, environments, releases, manifests], help="show what `apply` would do"
    )
    planning.add_argument("--json", action="store_true", help="the plan, for tools")
    planning.add_argument("--markdown", type=Path, metavar="FILE", help="write the plan there too, for a comment")
    commands.add_parser(
        "apply", parents=[flows, environments, releases, manifests], help="do what `plan` shows, and only that"
    )
    commands.add_parser("ping", help="see whether the server answers and lets us in")
    running = commands.add_parser("run", help="run a deployment, follow it, and show why it failed")
    running.add_argument("deployment", metavar="FLOW/DEPLOYMENT")
    running.add_argument("--parameters", type=_parameters, default={}, metavar="JSON", help="an object")
    python = commands.add_parser("python", parents=[flows], help="print the Python of a project's environment")
    python.add_argument("project", metavar="PROJECT", help="a folder under flows/")
    python.add_argument("--dev", action="store_true", help="with what its tests need")
    return parser


def _parameters(text: str) -> dict[str, Any]:
    try:
        parameters = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not JSON: {error}") from None
    if not isinstance(parameters, dict):
        raise argparse.ArgumentTypeError(f'{text} is not an object, such as {{"day": "2026-11-20"}}')
    if unstorable(parameters):
        raise argparse.ArgumentTypeError("a text in it holds a NUL or half a character, which no server stores")
    return parameters


class _Parser(argparse.ArgumentParser):
    """Ends with 1, as 2 means that there are changes."""

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"{self.prog}: {message}; --help tells more\n")


def _check(options: argparse.Namespace, python_of: PythonOf) -> int:
    checked = _checked(options, inventory.read(options.inventory), python_of)
    if options.json:
        told = {name: [asdict(problem) for problem in getattr(checked, name)] for name in ("problems", "warnings")}
        print(json.dumps({"deployments": len(checked.deployments)} | told))
    elif checked.problems:
        raise DeployError("\n".join(map(str, checked.problems)))
    else:
        print(f"{len(checked.deployments)} deployments are fit to be registered")
    return 1 if checked.problems else 0


def _checked(options: argparse.Namespace, given: inventory.Inventory | None, python_of: PythonOf) -> Checked:
    checked = check(options.flows, options.target, given, python_of)
    for warning in checked.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return checked


def _pack(options: argparse.Namespace, python_of: PythonOf) -> None:
    wanted = _wanted(options, inventory.read(options.inventory), python_of)
    packed = archive.pack(options.flows, options.folder)
    replace(wanted, archive=packed).write(options.folder / archive.MANIFEST)
    print(f"The release {wanted.release} for {options.target} is packed into {options.folder}")


def _take(options: argparse.Namespace) -> None:
    """Nothing of the flows is imported."""
    manifest = options.folder / archive.MANIFEST
    wanted = state.read(manifest)
    if wanted.owner.rpartition("/")[2] != options.target:
        again = make_command("pack")
        raise DeployError(f"{manifest} is for {wanted.owner}, not for {options.target}: run `{again}` again")
    projects = archive.unpack_needs(options.folder, wanted.archive)
    if given := inventory.read(options.inventory):
        given.check_pools(wanted)
    listed = [system_packages(project) for project in projects]
    if problems := [problem for _, wrong in listed for problem in wrong]:
        raise DeployError("\n".join(map(str, problems)))
    release = {
        "release": wanted.release,
        "archive": str(options.folder / archive.ARCHIVE),
        "manifest": str(manifest),
        "locks": [{"name": project.name, "lock": str(project.folder / "requirements.txt")} for project in projects],
        "system_packages": sorted({name for names, _ in listed for name in names}),
        "in_use": asyncio.run(_in_use()),
    }
    print(json.dumps(release))


def _state(options: argparse.Namespace, python_of: PythonOf) -> state.State:
    """What is wanted. Blocks get their values from the inventory; without one they are left alone."""
    server.require_url()
    if options.command == "apply" and not (options.manifest or options.release):
        raise DeployError(
            "say which release, which the workers must have: its MANIFEST, or --release; "
            f"`{make_command('deploy-flows')}` ships one"
        )
    given = inventory.read(options.inventory)
    wanted = state.read(options.manifest) if options.manifest else _wanted(options, given, python_of)
    return given.added_to(wanted) if given else wanted


def _wanted(options: argparse.Namespace, given: inventory.Inventory | None, python_of: PythonOf) -> state.State:
    if not options.target:
        raise DeployError("say which environment: --target, one of flows/targets.yml")
    checked = _checked(options, given, python_of)
    if checked.problems:
        raise DeployError("\n".join(map(str, checked.problems)))
    release = Release(_release_id(options, checked), options.flows_root, options.envs_root)
    return desired(checked, release, given.work_pools if given else [])


def _release_id(options: argparse.Namespace, checked: Checked) -> str:
    production = checked.targets.target is not None and checked.targets.target.mode == PRODUCTION
    if options.release and not production:
        return options.release
    own = archive.release_id(options.flows, allow_dirty=not production)
    if options.release not in (None, own):
        raise DeployError(
            f"only committed code may run here, and that is {own}, not {options.release}: check out its commit, or "
            "give its MANIFEST"
        )
    return own


async def _plan(options: argparse.Namespace, wanted: state.State) -> int:
    async with server.connect() as client:
        plan = await make(client, wanted, options.prune)
    print(report.as_json(plan) if options.json else report.text(plan))
    if options.markdown:
        options.markdown.write_text(report.markdown(plan), encoding="utf-8")
    return CHANGES if plan.pending else 0


async def _apply(options: argparse.Namespace, wanted: state.State) -> None:
    async with server.connect() as client, alone(client):
        plan = await make(client, wanted, options.prune)
        await apply(client, plan, lambda change: print(report.done(change), flush=True))
        print(report.table(plan))


async def _ping() -> None:
    async with server.connect():
        pass


async def _run(options: argparse.Namespace) -> int:
    async with server.connect() as client:
        ended = await run(client, options.deployment, options.parameters, partial(print, flush=True))
    return 0 if ended.state.is_completed() else 1


async def _in_use() -> list[str]:
    async with server.connect() as client:
        return sorted(await releases(client))


if __name__ == "__main__":
    sys.exit(main())
