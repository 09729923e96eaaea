"""The server knows a deployment by the names of its flow and itself, in all projects."""

from deployer.check.projects import DeclaredProject


def check_unique(projects: list[DeclaredProject]) -> None:
    """No two deployments may share both names."""
    first_places: dict[tuple[str, str], str] = {}
    for project in projects:
        for declaration, flow in project.declared:
            if not (declaration.name and declaration.entrypoint):
                continue
            where = (*declaration.location, "name")
            key = (flow.name if flow else f"{project.project.name}/{declaration.entrypoint}", declaration.name)
            if key in first_places:
                reason = f"{'/'.join(key)!r} is also declared in {first_places[key]}: rename one of them"
                project.document.add_problem(where, reason)
            first_places.setdefault(key, f"{project.document.shown}:{project.document.line(where)}")
