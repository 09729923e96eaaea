#!/usr/bin/env python3
"""Check and register the data flows under `flows/`; run it with the control machine's Python, `.venv/bin/python`."""

import argparse
import asyncio
import json
import sys
from pathlib import Path, PurePosixPath

from deployer import environment, register, secret_blocks, server
from deployer.archive import pack
from deployer.check import Deployment, PythonOf, check
from deployer.desired import Release, desired
from deployer.errors import DeployError
from deployer.project import find


def main(arguments: list[str] | None = None, python_of: PythonOf = environment.python) -> int:
    """Run one command and return its exit code; `python_of` finds the Python that imports a project's flows."""
    options = _parser().parse_args(arguments)
    try:
        match options.command:
            case "check":
                deployments = _checked(options, python_of)
                print(f"{len(deployments)} deployments are fit to be registered")
            case "apply":
                release = Release(options.release, options.flows_root, options.envs_root)
                server.require_url()
                asyncio.run(_apply(_checked(options, python_of), release, options.pool))
            case "pack":
                release_id, archive = pack(options.flows, options.folder, options.allow_dirty)
                print(json.dumps({"release": release_id, "archive": str(archive)}))
            case "secrets":
                asyncio.run(_secrets(sys.stdin.read()))
            case "python":
                print(environment.python(find(options.flows, options.project), options.dev))
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
    pools = argparse.ArgumentParser(add_help=False)
    pools.add_argument(
        "--pool", action="append", default=[], metavar="NAME", help="a work pool that exists; repeatable"
    )

    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", parents=[flows, pools], help="check every project, without a server")
    apply = commands.add_parser("apply", parents=[flows, pools], help="check, then register every deployment")
    apply.add_argument("--release", required=True, metavar="ID", help="the release whose code the deployments run")
    for name in ("flows", "envs"):
        folder = PurePosixPath("/opt/prefect", name)
        text = f"where the workers keep their {name} (%(default)s)"
        apply.add_argument(f"--{name}-root", type=PurePosixPath, default=folder, metavar="DIR", help=text)
    packing = commands.add_parser(
        "pack", parents=[flows], help="pack the flows as a release; prints its id and archive as JSON"
    )
    packing.add_argument("folder", type=Path, metavar="FOLDER", help="where the archive goes")
    packing.add_argument("--allow-dirty", action="store_true", help="take uncommitted changes too")
    commands.add_parser("secrets", help="write the Secret blocks given as a JSON object on standard input")
    python = commands.add_parser("python", parents=[flows], help="print the Python of a project's environment")
    python.add_argument("project", metavar="PROJECT", help="a folder under flows/")
    python.add_argument("--dev", action="store_true", help="with what its tests need")
    return parser


def _checked(options: argparse.Namespace, python_of: PythonOf) -> list[Deployment]:
    deployments, problems = check(options.flows, options.pool, python_of, lambda line: print(line, file=sys.stderr))
    if problems:
        raise DeployError("\n".join(map(str, problems)))
    return deployments


async def _apply(deployments: list[Deployment], release: Release, pools: list[str]) -> None:
    wanted = desired(deployments, release)
    async with server.connect() as client:
        missing = await register.missing_pools(client, {*pools, *(each.fields["work_pool_name"] for each in wanted)})
        planned = await register.changes(client, wanted)
        for name in missing:
            await register.create_pool(client, name)
            print(f"{'created':<9} work pool {name}")
        async for change in register.apply(client, planned):
            print(f"{change.action:<9} {change.desired.full_name}")


async def _secrets(text: str) -> None:
    blocks = secret_blocks.parse(text)
    async with server.connect(show_details=False) as client:
        async for action, name in secret_blocks.write(client, blocks):
            print(f"{action:<9} {name}")


if __name__ == "__main__":
    sys.exit(main())
