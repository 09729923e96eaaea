#!/usr/bin/env python3
"""Check the data flows under `flows/`, show what registering them would change, and do it.

Run it with the control machine's Python, `.venv/bin/python`. Exit codes: 0 done, or nothing to change; 2 `plan` found
changes; 1 an error, in one line each.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict, replace
from functools import partial

from deployer.check import Checked, PythonOf, check
from deployer.commands import make_command
from deployer.desired import Release, desired_manifest
from deployer.files.inventory import Inventory, read_inventory
from deployer.flows.environments import environment_python
from deployer.flows.project import find_project, system_packages
from deployer.flows.release import ARCHIVE, MANIFEST, pack, release_id, unpack_needs
from deployer.model.errors import DeployError, Problem
from deployer.model.manifest import Manifest, read_manifest
from deployer.options import build_parser
from deployer.server import report
from deployer.server.apply import apply
from deployer.server.connection import connect, require_url
from deployer.server.deploy_lock import deploy_lock, lock_status, release_lock
from deployer.server.flow_runs import run_deployment
from deployer.server.kinds.deployments import releases_in_use
from deployer.server.plan import Plan, make_plan
from deployer.server.saved_plan import SavedPlan, read_saved_plan

CHANGES = 2


def main(arguments: list[str] | None = None, python_of: PythonOf = environment_python) -> int:
    """Run one command and return its exit code; `python_of` finds the Python that imports a project's flows."""
    options = build_parser(__doc__).parse_args(arguments)
    try:
        match options.command:
            case "check":
                return _check(options, python_of)
            case "pack":
                _pack(options, python_of)
            case "take":
                _take(options)
            case "plan":
                return _plan(options, python_of)
            case "apply":
                _apply(options, python_of)
            case "lock":
                print(asyncio.run(_lock(options.action)))
            case "ping":
                asyncio.run(_ping())
            case "run":
                return asyncio.run(_run(options))
            case "python":
                print(environment_python(find_project(options.flows, options.project), options.dev))
    except DeployError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _check(options: argparse.Namespace, python_of: PythonOf) -> int:
    checked = _checked(options, read_inventory(options.inventory), python_of)
    if options.json:
        lists = {name: [asdict(problem) for problem in getattr(checked, name)] for name in ("problems", "warnings")}
        print(json.dumps({"deployments": len(checked.deployments)} | lists))
    else:
        _require_none(checked.problems)
        print(f"{len(checked.deployments)} deployments are fit to be registered")
    return 1 if checked.problems else 0


def _checked(options: argparse.Namespace, inventory: Inventory | None, python_of: PythonOf) -> Checked:
    checked = check(options.flows, options.target, inventory, python_of)
    for warning in checked.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return checked


def _require_none(problems: list[Problem]) -> None:
    if problems:
        raise DeployError("\n".join(map(str, problems)))


def _pack(options: argparse.Namespace, python_of: PythonOf) -> None:
    manifest = _manifest(options, read_inventory(options.inventory), python_of)
    archive_hash = pack(options.flows, options.folder)
    replace(manifest, archive=archive_hash).write(options.folder / MANIFEST)
    print(f"The release {manifest.release} for {options.target} is packed into {options.folder}")


def _take(options: argparse.Namespace) -> None:
    """Imports no code of the flows."""
    file = options.folder / MANIFEST
    manifest = read_manifest(file)
    if manifest.owner.rpartition("/")[2] != options.target:
        again = make_command("pack")
        raise DeployError(f"{file} is for {manifest.owner}, not for {options.target}: run `{again}` again")
    projects = unpack_needs(options.folder, manifest.archive)
    if inventory := read_inventory(options.inventory):
        inventory.check_pools(manifest)
    packages = [system_packages(project) for project in projects]
    _require_none([problem for _, problems in packages for problem in problems])
    needs = {
        "release": manifest.release,
        "archive": str(options.folder / ARCHIVE),
        "manifest": str(file),
        "locks": [{"name": project.name, "lock": str(project.folder / "requirements.txt")} for project in projects],
        "system_packages": sorted({name for names, _ in packages for name in names}),
        "in_use": asyncio.run(_in_use()),
    }
    print(json.dumps(needs))


def _plan(options: argparse.Namespace, python_of: PythonOf) -> int:
    url = require_url()
    if options.out:
        _require_release(options)
    inventory = read_inventory(options.inventory)
    manifest = read_manifest(options.file) if options.file else _manifest(options, inventory, python_of)
    plan = asyncio.run(_read_plan(_complete(manifest, inventory), options.prune))
    print(report.as_json(plan) if options.json else report.text(plan))
    if options.markdown:
        options.markdown.write_text(report.markdown(plan), encoding="utf-8")
    if options.out:
        with_inventory = inventory is not None
        SavedPlan.of_plan(plan, manifest, url, prune=options.prune, with_inventory=with_inventory).write(options.out)
    return CHANGES if plan.pending else 0


def _apply(options: argparse.Namespace, python_of: PythonOf) -> None:
    url = require_url()
    _require_release(options)
    inventory = read_inventory(options.inventory)
    saved_plan = read_saved_plan(options.file) if options.file else None
    if saved_plan:
        saved_plan.check_options(url, prune=options.prune, with_inventory=inventory is not None)
        manifest, prune = saved_plan.manifest, saved_plan.prune
    else:
        manifest = read_manifest(options.file) if options.file else _manifest(options, inventory, python_of)
        prune = options.prune
    asyncio.run(_apply_plan(_complete(manifest, inventory), prune, saved_plan))


def _require_release(options: argparse.Namespace) -> None:
    if not (options.file or options.release):
        raise DeployError(
            "say which release, which the workers must have: its MANIFEST, or --release; "
            f"`{make_command('deploy-flows')}` ships one"
        )


def _complete(manifest: Manifest, inventory: Inventory | None) -> Manifest:
    """With the values of blocks from the inventory; without an inventory, blocks stay as they are on the server."""
    return inventory.complete(manifest) if inventory else manifest


def _manifest(options: argparse.Namespace, inventory: Inventory | None, python_of: PythonOf) -> Manifest:
    if not options.target:
        raise DeployError("say which environment: --target, one of flows/targets.yml")
    checked = _checked(options, inventory, python_of)
    _require_none(checked.problems)
    release = Release(_release_id(options, checked), options.flows_root, options.envs_root)
    return desired_manifest(checked, release, inventory.work_pools if inventory else [])


def _release_id(options: argparse.Namespace, checked: Checked) -> str:
    production = checked.targets_file.is_production
    if options.release and not production:
        return str(options.release)
    committed = release_id(options.flows, allow_dirty=not production)
    if options.release not in (None, committed):
        raise DeployError(
            f"only committed code may run here, and that is {committed}, not {options.release}: check out its commit, "
            "or give its MANIFEST"
        )
    return committed


async def _read_plan(manifest: Manifest, prune: bool) -> Plan:
    async with connect() as client:
        return await make_plan(client, manifest, prune)


async def _apply_plan(manifest: Manifest, prune: bool, saved_plan: SavedPlan | None) -> None:
    async with connect() as client, deploy_lock(client):
        plan = await make_plan(client, manifest, prune)
        if saved_plan:
            saved_plan.check_unchanged(plan)
        await apply(client, plan, lambda change: print(report.done_line(change), flush=True))
        print(report.table(plan))


async def _lock(action: str) -> str:
    async with connect() as client:
        if action == "status":
            return str(await lock_status(client))
        before = await release_lock(client)
        return (
            f"Released: it was held by {before.holder}. If that still runs, it stops within about a minute."
            if before.is_held
            else str(before)
        )


async def _ping() -> None:
    async with connect():
        pass


async def _run(options: argparse.Namespace) -> int:
    async with connect() as client:
        flow_run = await run_deployment(client, options.deployment, options.parameters, partial(print, flush=True))
    return 0 if flow_run.state and flow_run.state.is_completed() else 1


async def _in_use() -> list[str]:
    async with connect() as client:
        return sorted(await releases_in_use(client))


if __name__ == "__main__":
    sys.exit(main())
