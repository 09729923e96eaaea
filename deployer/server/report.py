"""A plan, and what became of it, as people and tools read it. No value of a secret is in a plan."""

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

from deployer.model.differences import ABSENT, Difference
from deployer.server.plan import Action, Change, Plan

SIGNS = {Action.CREATE: "+", Action.UPDATE: "~", Action.RELEASE: ">", Action.DELETE: "-", Action.KEEP: "?"}
DONE = {
    Action.CREATE: "created",
    Action.UPDATE: "changed",
    Action.RELEASE: "released",
    Action.DELETE: "deleted",
    Action.KEEP: "kept",
    Action.NOTHING: "unchanged",
}
LONGEST = 80


def text(plan: Plan) -> str:
    """The plan, a line for each field that changes, and the sum of it."""
    lines: list[str] = []
    for change in plan.changes:
        if change.action in (Action.NOTHING, Action.RELEASE):
            continue
        note = "  (no longer declared: --prune deletes it)" if change.action is Action.KEEP else ""
        lines.append(f"{SIGNS[change.action]} {change.kind} {change.name}{note}")
        for each in change.differences:
            lines.append(f"    {each.field}{_shown(each)}")
    return "\n".join([*lines, summary(plan)])


def summary(plan: Plan) -> str:
    """How many of what, in one line."""
    counts = Counter(change.action for change in plan.changes)
    parts = [
        f"{counts[Action.CREATE]} to create",
        f"{counts[Action.UPDATE]} to change",
        f"{counts[Action.DELETE]} to delete",
    ]
    if counts[Action.RELEASE]:
        parts.append(f"{counts[Action.RELEASE]} to move to the release, unchanged otherwise")
    parts.append(f"{counts[Action.NOTHING]} as they should be")
    return f"Release {plan.state.release}, {plan.state.owner}: {', '.join(parts)}."


def markdown(plan: Plan) -> str:
    """The plan for a comment on a pull request."""
    return f"### {summary(plan)}\n\n```\n{text(plan)}\n```\n"


def as_json(plan: Plan) -> str:
    """The plan for tools: what is left alone is counted, not listed."""
    changes = [
        {
            "action": change.action,
            "kind": change.kind,
            "name": change.name,
            # "old" is left out where there was nothing, "new" where there will be nothing
            "differences": [
                {key: value for key, value in asdict(each).items() if value is not ABSENT}
                for each in change.differences
            ],
        }
        for change in plan.changes
        if change.action is not Action.NOTHING
    ]
    unchanged = sum(change.action is Action.NOTHING for change in plan.changes)
    state = plan.state
    return json.dumps({"release": state.release, "owner": state.owner, "unchanged": unchanged, "changes": changes})


def done(change: Change) -> str:
    """One change that was made."""
    return f"{DONE[change.action]:<9} {change.kind} {change.name}"


def table(plan: Plan) -> str:
    """What became of each kind, in numbers."""
    actions = list(DONE)
    counts = Counter((change.kind, change.action) for change in plan.changes)
    kinds = list(dict.fromkeys(change.kind for change in plan.changes))
    rows = [["", *(DONE[action] for action in actions)]]
    rows += [[kind, *(str(counts[kind, action] or "-") for action in actions)] for kind in kinds]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_aligned(row, widths) for row in rows)


def _aligned(row: list[str], widths: list[int]) -> str:
    cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *cells[1:]])


def _shown(difference: Difference) -> str:
    old, new = _said(difference.old), _said(difference.new)
    if old == new:  # values that are hidden
        return ""
    # Of long ones the part that differs, and a little of what stands before it
    same = next(
        (at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), min(len(old), len(new))
    )
    # Both begin at the same place, so that what differs is seen where they repeat themselves too
    start = max(0, min(same - LONGEST // 4, max(len(old), len(new)) - LONGEST))
    return f": {_cut(old, start)} -> {_cut(new, start)}"


def _said(value: Any) -> str:
    if value is ABSENT:
        return ABSENT.value
    said = json.dumps(value, ensure_ascii=False, sort_keys=True)
    # Two blanks of different kinds must not look the same, nor a line end
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in said)


def _cut(said: str, start: int) -> str:
    end = start + LONGEST
    return f"{'…' if start else ''}{said[start:end]}{'…' if end < len(said) else ''}"
