"""`flows/targets.yml`: what differs from one environment to the next."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployer.files.document import Document
from deployer.files.fields import add_validation_errors
from deployer.files.prefect_yaml import Declaration
from deployer.model.errors import DeployError, Location

TARGETS_YML = "targets.yml"
PRODUCTION = "production"
TEST_TAGS = {"test", "testing"}


class Target(BaseModel):
    """One environment. Only `mode` is required."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["development", "production"] = Field(
        description="`production`: committed code only, no test tags, nothing paused unless `paused` lists it."
    )
    name_prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_.-]*$",
        description="Precedes deployment names where targets share a server; then only deployments are registered.",
    )
    schedules: Literal["paused"] | None = Field(
        default=None, description="`paused` registers every schedule paused, regardless of the projects."
    )
    work_pool: str | None = Field(default=None, description="Replaces the pools that the projects name.")
    tags: list[str] = Field(default=[], description="Added to the tags of each deployment.")
    without_tags: list[str] = Field(default=[], description="Deployments with one of these tags are left out.")
    parameters: dict[str, dict[str, Any]] = Field(
        default={},
        description="By flow: override the parameters of its deployments. Those of a schedule override these.",
    )
    paused: list[str] = Field(
        default=[], description="Deployments, as `<flow>/<deployment>`, that may be paused in production."
    )


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    # marks what this repository registers
    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    targets: dict[str, Target]


class TargetsFile:
    """The file, and one of its targets. `target` is None if the file has problems, or no target was asked for."""

    def __init__(self, flows: Path, name: str | None) -> None:
        """Read it. Raises a DeployError if it lacks the target."""
        path = flows / TARGETS_YML
        self.document = _document(path, f"{flows.name}/{TARGETS_YML}", name)
        self.name = name
        self.target: Target | None = None
        self.owner = ""
        if self.document.problems or self.document.data is None:
            return
        try:
            content = _Content.model_validate(self.document.data)
        except ValidationError as error:
            add_validation_errors(self.document, (), error)
            return
        for target_name, target in content.targets.items():
            _check_production_target(self.document, ("targets", target_name), target)
        if name:
            if name not in content.targets:
                targets = ", ".join(content.targets) or "none"
                raise DeployError(f"{self.document.shown} has no target {name!r}: it has {targets}")
            self.target = content.targets[name]
            self.owner = f"{content.name}/{name}"

    @property
    def is_production(self) -> bool:
        """Whether production's rules hold."""
        return self.target is not None and self.target.mode == PRODUCTION

    def includes(self, declaration: Declaration) -> bool:
        """Whether a deployment belongs into the target."""
        return not (self.target and set(self.target.without_tags) & set(declaration.tags))

    def parameters(self, flow: str) -> dict[str, Any]:
        """The target's parameters for the deployments of a flow, on top of theirs."""
        return self.target.parameters.get(flow, {}) if self.target else {}


def _document(path: Path, shown: str, target: str | None) -> Document:
    if not path.exists():
        if target:
            mend = "rename targets.yaml" if path.with_suffix(".yaml").exists() else "write it, or leave --target out"
            raise DeployError(f"{shown} is missing, which says what {target!r} is: {mend}")
        return Document.empty(shown)
    document = Document(path, shown)
    # Without a mode, none of production's rules would hold
    if document.data is None and not document.problems and target:
        raise DeployError(f"{shown} is empty, and has to say what {target!r} is: write it, or leave --target out")
    return document


def _check_production_target(document: Document, at: Location, target: Target) -> None:
    if target.mode != PRODUCTION:
        return
    if target.schedules == "paused":
        reason = "production is not paused as a whole: list its deployments under `paused`"
        document.add_problem((*at, "schedules"), reason)
    for number, tag in enumerate(target.tags):
        if tag.lower() in TEST_TAGS:
            document.add_problem((*at, "tags", number), f"{tag!r} does not belong into production: remove it")
