"""Make a new project under `flows/` from a template in this folder; `make new-project` runs it."""

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
    print(f"{folder.parent.name}/{folder.name} is ready: read its flow.py and prefect.yaml, then `make deploy-flows`")
    return 0


def make(name: str, template: str, flows: Path) -> Path:
    """Make the complete project, and return its folder. Raises DeployError and leaves nothing where it cannot."""
    # 63 characters, because the pipeline's schema has this name, and PostgreSQL cuts longer names
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        rule = "a project is named with a-z, 0-9 and _, starts with a letter, and has at most 63 of them"
        raise DeployError(f"NAME={name!r}: {rule}, such as: {EXAMPLE}")
    if name in RESERVED:
        raise DeployError(f"NAME={name!r}: is the name of an environment of the platform, take another name")
    templates = sorted(file.parent.name for file in TEMPLATES.glob("*/cookiecutter.json"))
    if template not in templates:
        raise DeployError(f"TEMPLATE={template!r}: the templates are {', '.join(templates)}, such as: {EXAMPLE}")
    folder = flows / name
    if folder.exists():
        raise DeployError(f"NAME={name!r}: {flows.name}/{name} exists, take another name or remove it")
    with tempfile.TemporaryDirectory(prefix=".new-project-", dir=flows) as scratch:
        project = cookiecutter(
            str(TEMPLATES / template),
            no_input=True,
            extra_context={"project": name},
            output_dir=scratch,
            # ignores the user's settings, and leaves no record in the home folder
            default_config={"cookiecutters_dir": scratch, "replay_dir": f"{scratch}/.replay"},
        )
        Path(project).rename(folder)
    return folder


if __name__ == "__main__":
    sys.exit(main())
