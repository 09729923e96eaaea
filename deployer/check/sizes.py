"""Sizes that the server accepts in a deployment, and then cannot make a run of."""

import json

from deployer.files.document import Document
from deployer.files.prefect_yaml import Declaration
from deployer.files.targets_yml import TargetsFile
from deployer.flows.inspection import Flow

# Every change of a run's state is an event, which may name 100 things: its tags, and the run's flow, deployment, pool,
# queue, creator and parent. The server adds a tag of its own, and flows add theirs.
MAX_TAGS = 90
# Bytes of JSON that the server takes as the parameters of a deployment, a schedule or a run
MAX_PARAMETER_BYTES = 524_288


def check_sizes(document: Document, declaration: Declaration, flow: Flow | None, targets: TargetsFile) -> None:
    """The tags of a deployment, and the parameters of its runs, must not be too many."""
    tags = {*declaration.tags, *(targets.target.tags if targets.target else ())}
    if len(tags) > MAX_TAGS:
        reason = f"are {len(tags)} with those of the target, and a run takes {MAX_TAGS}: take some away"
        document.add_problem((*declaration.location, "tags"), reason)
    common = declaration.parameters | (targets.parameters(flow.name) if flow else {})
    for location, parameters in [
        (declaration.location, common),
        *((location, common | schedule.parameters) for location, schedule in declaration.schedules.items()),
    ]:
        size = len(json.dumps(parameters, separators=(",", ":")))
        if size > MAX_PARAMETER_BYTES:
            reason = f"a run would have {size:,} bytes of parameters, and the server takes {MAX_PARAMETER_BYTES:,}: "
            document.add_problem((*location, "parameters"), reason + "put them into a file or a variable")
            return
