"""A plan and its result, as people and tools read them. A plan shows no value of a secret."""

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

from deployer.model.differences import ABSENT, Difference
from deployer.server.plan import Action, Change, Plan

SIGNS = {Action.CREATE: "+", Action.UPDATE: "~", Action.RELEASE: ">", Action.DELETE: "-", Action.KEEP: "?"}
DONE_WORDS = {
    Action.CREATE: "created",
    Action.UPDATE: "changed",
    Action.RELEASE: "released",
    Action.DELETE: "deleted",
    Action.KEEP: "kept",
    Action.NOTHING: "unchanged",
}
# Characters shown of a value
LONGEST = 80


def text(plan: Plan) -> str:
    """The plan, a line for each field that changes, and its summary."""
    lines: list[str] = []
    for change in plan.changes:
        if change.action in (Action.NOTHING, Action.RELEASE):
            continue
        note = "  (no longer declared: --prune deletes it)" if change.action is Action.KEEP else ""
        lines.append(f"{SIGNS[change.action]} {change.kind} {change.name}{note}")
        for difference in change.differences:
            lines.append(f"    {difference.field}{_shown(difference)}")
    return "\n".join([*lines, summary(plan)])


def summary(plan: Plan) -> str:
    """The number of changes by action, in one line."""
    counts = Counter(change.action for change in plan.changes)
    parts = [
        f"{counts[Action.CREATE]} to create",
        f"{counts[Action.UPDATE]} to change",
        f"{counts[Action.DELETE]} to delete",
    ]
    if counts[Action.RELEASE]:
        parts.append(f"{counts[Action.RELEASE]} to move to the release, unchanged otherwise")
    parts.append(f"{counts[Action.NOTHING]} as they should be")
    return f"Release {plan.manifest.release}, {plan.manifest.owner}: {', '.join(parts)}."


def markdown(plan: Plan) -> str:
    """The plan for a comment on a pull request."""
    return f"### {summary(plan)}\n\n```\n{text(plan)}\n```\n"


def as_json(plan: Plan) -> str:
    """The plan for tools: unchanged resources are counted, not listed."""
    changes = [change_as_json(change) for change in plan.changes if change.action is not Action.NOTHING]
    unchanged = sum(change.action is Action.NOTHING for change in plan.changes)
    manifest = plan.manifest
    return json.dumps(
        {"release": manifest.release, "owner": manifest.owner, "unchanged": unchanged, "changes": changes}
    )


def change_as_json(change: Change) -> dict[str, Any]:
    """One change for tools: action, kind, name and differences."""
    return {
        "action": change.action,
        "kind": change.kind,
        "name": change.name,
        # "old" is left out for a new value, "new" for a removed one
        "differences": [
            {key: value for key, value in asdict(difference).items() if value is not ABSENT}
            for difference in change.differences
        ],
    }


def done_line(change: Change) -> str:
    """The line for a change that was made."""
    return f"{DONE_WORDS[change.action]:<9} {change.kind} {change.name}"


def table(plan: Plan) -> str:
    """The numbers of changes, by kind and action."""
    actions = list(DONE_WORDS)
    counts = Counter((change.kind, change.action) for change in plan.changes)
    kinds = list(dict.fromkeys(change.kind for change in plan.changes))
    rows = [["", *(DONE_WORDS[action] for action in actions)]]
    rows += [[kind, *(str(counts[kind, action] or "-") for action in actions)] for kind in kinds]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_aligned(row, widths) for row in rows)


def _aligned(row: list[str], widths: list[int]) -> str:
    cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *cells[1:]])


def _shown(difference: Difference) -> str:
    old, new = _json(difference.old), _json(difference.new)
    if old == new:  # hidden values
        return ""
    # Of long values, only the part that differs and a little before it
    differs_at = next(
        (at for at, (left, right) in enumerate(zip(old, new, strict=False)) if left != right), min(len(old), len(new))
    )
    # Both begin at the same place, so that the difference shows in repetitive texts too
    start = max(0, min(differs_at - LONGEST // 4, max(len(old), len(new)) - LONGEST))
    return f": {_cut(old, start)} -> {_cut(new, start)}"


def _json(value: Any) -> str:
    if value is ABSENT:
        return str(ABSENT.value)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    # Two blanks of different kinds must not look the same, nor a line end
    return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in text)


def _cut(text: str, start: int) -> str:
    end = start + LONGEST
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
