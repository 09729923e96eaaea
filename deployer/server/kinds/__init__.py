"""The kinds of things this platform keeps on a Prefect server, each in a module of its own."""

from deployer.server.kinds.automations import Automations
from deployer.server.kinds.blocks import NotificationBlocks, SecretBlocks
from deployer.server.kinds.deployments import Deployments
from deployer.server.kinds.kind import Kind
from deployer.server.kinds.limits import GlobalConcurrencyLimits, TagConcurrencyLimits
from deployer.server.kinds.variables import Variables
from deployer.server.kinds.work_pools import WorkPools, WorkQueues

# Those of a phase can be written at once; each phase may need what the phases before it have made
PHASES: tuple[tuple[type[Kind], ...], ...] = (
    (SecretBlocks, NotificationBlocks, Variables, WorkPools, GlobalConcurrencyLimits, TagConcurrencyLimits),
    (WorkQueues,),
    (Deployments,),
    (Automations,),
)
KINDS: dict[str, type[Kind]] = {kind.title: kind for phase in PHASES for kind in phase}
