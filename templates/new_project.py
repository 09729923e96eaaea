"""A new project under `flows/` from one of the templates here; `make new-project` runs it."""

import argparse
import re
import sys
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

from deployer.flows.project import RESERVED
from deployer.model.errors import DeployError

TEMPLATES = Path(__file__).parent
EXAMPLE = "make new-project NAME=sales TEMPLATE=db_dump"


def main() -> int:
    """Make the project and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("template", metavar="TEMPLATE")
    parser.add_argument("--flows", type=Path, default=TEMPLATES.parent / "flows", metavar="DIR")
    options = parser.parse_args()
    try:
        folder = make(options.name, options.template, options.flows)
    except DeployError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{folder.parent.name}/{folder.name} is there: read its flow.py and prefect.yaml, then `make deploy-flows`")
    return 0


def make(name: str, template: str, flows: Path) -> Path:
    """Make the project, whole or not at all, and return its folder."""
    # 63 characters, because the pipeline's schema has this name, and PostgreSQL cuts longer ones
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        rule = "a project is named with a-z, 0-9 and _, starts with a letter, and has at most 63 of them"
        raise DeployError(f"NAME={name!r}: {rule}, such as: {EXAMPLE}")
    if name in RESERVED:
        raise DeployError(f"NAME={name!r}: is the name of one of the platform's own environments, take another one")
    known = sorted(file.parent.name for file in TEMPLATES.glob("*/cookiecutter.json"))
    if template not in known:
        raise DeployError(f"TEMPLATE={template!r}: the templates are {', '.join(known)}, such as: {EXAMPLE}")
    folder = flows / name
    if folder.exists():
        raise DeployError(f"NAME={name!r}: {flows.name}/{name} exists, take another name or remove it")
    with tempfile.TemporaryDirectory(prefix=".new-project-", dir=flows) as scratch:
        made = cookiecutter(
            str(TEMPLATES / template),
            no_input=True,
            extra_context={"project": name},
            output_dir=scratch,
            # neither reads the user's own settings nor leaves a record in the home folder
            default_config={"cookiecutters_dir": scratch, "replay_dir": f"{scratch}/.replay"},
        )
        Path(made).rename(folder)
    return folder


if __name__ == "__main__":
    sys.exit(main())
