"""Every schedule must fire, without keeping the server busy."""

from deployer.check import dates
from deployer.check.projects import DeclaredProject
from deployer.files.schedules import KINDS


def check_schedules(projects: list[DeclaredProject]) -> None:
    """Every schedule must have a next date, which the server can compute."""
    schedules = [
        (project.document, location, schedule)
        for project in projects
        for declaration, _ in project.declared
        for location, schedule in declaration.schedules.items()
    ]
    reasons = dates.reasons_against([schedule for *_, schedule in schedules])
    for (document, location, _), reason in zip(schedules, reasons, strict=True):
        if reason:
            kind = next(kind for kind in KINDS if document.has((*location, kind)))
            document.add_problem((*location, kind), f"{document.value((*location, kind))!r} {reason}")
