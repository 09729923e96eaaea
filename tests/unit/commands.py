"""The commands that a text names, held against those that there are."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
HELP = dict(re.findall(r"^([a-z-]+):.*?## (.*)$", MAKEFILE, re.MULTILINE))
VERBS = {"reboot", "restart"}
NAME = re.compile(r"[\w.-]+(?:@[\w.*-]*)?\.(?:service|timer)\b")


def template_of(unit: str) -> str:
    """A unit's name with its suffix, without its instance: `prefect-worker@.service` of `prefect-worker@default`."""
    full = unit if unit.endswith((".service", ".timer")) else f"{unit}.service"
    return re.sub(r"@.*(\.\w+)$", r"@\1", full)


def installed() -> set[str]:
    """The units that the roles write, extend, start or show."""
    templates = [*ROOT.glob("systemd/*.j2"), *ROOT.glob("nginx/*.service.conf.j2")]
    lists = [ROOT / "ansible/roles/units/vars/main.yml", ROOT / "ansible/status.yml"]
    names = [file.name.removesuffix(".j2").removesuffix(".conf") for file in templates]
    return {
        template_of(name) for name in [*names, *(name for file in lists for name in NAME.findall(file.read_text()))]
    }


UNITS = installed()


def foreign(text: str, environment: str) -> list[str]:
    """The commands that a text names and that are for another environment than this one."""
    commands = re.findall(rf"\bmake (?:{'|'.join(HELP)})(?![\w-])(?: [A-Z]+=[^\s;,]+)*", text)
    return [command for command in commands if f" ENV={environment}" not in command]


def unknown(text: str) -> Iterator[str]:
    """A line for every command, variable, unit and page that a text names and that does not exist."""
    for target, typed in re.findall(r"\bmake ([a-z][a-z-]*)((?: [A-Z]+=[^\s;,]+)*)", text):
        if target not in HELP:
            yield f"make {target}: no such command"
        for variable, value in re.findall(r"([A-Z]+)=(\S+)", typed):
            listed = variable == "ENV" or f"{variable}=" in HELP.get(target, "")
            if not listed or not re.search(rf"\b{variable}\b", MAKEFILE.replace(HELP.get(target, ""), "")):
                yield f"make {target} {variable}=: no such variable"
            if variable == "UNIT" and template_of(value) not in UNITS:
                yield f"make {target} {variable}={value}: no such unit"
    for verb, units in re.findall(r"\bsystemctl ([a-z-]+)((?: [\w@.:-]+)*)", text):
        if verb not in VERBS:
            yield f"systemctl {verb}: no such verb"
        yield from (
            f"systemctl {verb} {unit}: no such unit" for unit in units.split() if template_of(unit) not in UNITS
        )
    yield from (
        f"{page}: no such page" for page in re.findall(r"\bdocs/[\w/-]+\.md", text) if not (ROOT / page).exists()
    )
