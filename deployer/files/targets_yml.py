"""`flows/targets.yml`: what differs from one environment to the next."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployer.files.document import Document
from deployer.files.fields import refuse
from deployer.files.prefect_yaml import Declaration
from deployer.model.errors import DeployError

FILE = "targets.yml"
PRODUCTION = "production"
TEST_TAGS = {"test", "testing"}


class Target(BaseModel):
    """One environment. All but `mode` may be left out."""

    model_config = ConfigDict(extra="forbid")

    # production: committed code only, nothing that is a test, nothing paused unless it is listed
    mode: Literal["development", "production"]
    # put before the names of deployments, where several targets share a server; then only deployments are registered
    name_prefix: str = Field("", pattern=r"^[A-Za-z0-9_.-]*$")
    # paused: whatever the projects say
    schedules: Literal["paused"] | None = None
    # instead of the pools the projects name
    work_pool: str | None = None
    # added to those of each deployment
    tags: list[str] = []
    # deployments with one of these tags stay out
    without_tags: list[str] = []
    # by flow: on top of those of its deployments
    parameters: dict[str, dict[str, Any]] = {}
    # deployments, <flow>/<deployment>, that may be paused in production
    paused: list[str] = []


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    # marks what this repository registers
    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    targets: dict[str, Target]


class Targets:
    """The file, and one target of it. `target` is None where the file is wrong, or no target was asked for."""

    def __init__(self, flows: Path, name: str | None) -> None:
        """Read it. Raises a DeployError if there is no such target."""
        path = flows / FILE
        shown = f"{flows.name}/{FILE}"
        if name and not path.exists():
            mend = "rename targets.yaml" if path.with_suffix(".yaml").exists() else "write it, or leave --target out"
            raise DeployError(f"{shown} is missing, which says what {name!r} is: {mend}")
        self.document = Document(path, shown) if path.exists() else Document.empty(shown)
        self.name = name
        self.target: Target | None = None
        self.owner = ""
        if self.document.problems:
            return
        if self.document.data is None:
            # Without a mode, none of production's rules would hold
            if name:
                raise DeployError(f"{shown} is empty, and has to say what {name!r} is: write it, or leave --target out")
            return
        try:
            file = _File.model_validate(self.document.data)
        except ValidationError as error:
            refuse(self.document, (), error)
            return
        for each, target in file.targets.items():
            if target.mode == PRODUCTION and target.schedules == "paused":
                where = ("targets", each, "schedules")
                self.document.refuse(where, "production is not paused as a whole: list its deployments under `paused`")
            for number, tag in enumerate(target.tags if target.mode == PRODUCTION else ()):
                if tag.lower() in TEST_TAGS:
                    where = ("targets", each, "tags", number)
                    self.document.refuse(where, f"{tag!r} does not belong into production: remove it")
        if name:
            if name not in file.targets:
                raise DeployError(f"{shown} has no target {name!r}: it has {', '.join(file.targets) or 'none'}")
            self.target = file.targets[name]
            self.owner = f"{file.name}/{name}"

    def takes(self, declared: Declaration) -> bool:
        """Whether a deployment belongs into the target."""
        return not (self.target and set(self.target.without_tags) & set(declared.tags))

    def parameters(self, flow: str) -> dict[str, Any]:
        """What the target gives the deployments of a flow, on top of their own."""
        return self.target.parameters.get(flow, {}) if self.target else {}

    def check(self, document: Document, declared: Declaration, full_name: str) -> None:
        """Refuse what should not reach production; `full_name` is <flow>/<deployment>."""
        target = self.target
        if not target or target.mode != PRODUCTION:
            return
        for tag in declared.tags:
            if tag.lower() in TEST_TAGS:
                reason = f"{tag!r} does not belong into production: remove it, or add it to without_tags of {self.name}"
                document.refuse((*declared.location, "tags"), f"{reason} in {FILE}")
        if full_name in target.paused:
            return
        said = f"is paused in production: let it run, or list {full_name!r} under `paused` of {self.name} in {FILE}"
        if declared.paused:
            document.refuse((*declared.location, "paused"), said)
        for where, schedule in declared.schedules.items():
            if schedule.active is False:
                document.refuse((*where, "active"), said)
