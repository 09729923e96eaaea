"""The kinds of things this platform keeps on a Prefect server, each in a module of its own."""

from deployer.kinds.automations import Automations
from deployer.kinds.blocks import NotificationBlocks, SecretBlocks
from deployer.kinds.deployments import Deployments
from deployer.kinds.kind import Kind
from deployer.kinds.limits import GlobalConcurrencyLimits, TagConcurrencyLimits
from deployer.kinds.variables import Variables
from deployer.kinds.work_pools import WorkPools, WorkQueues

# Those of a phase can be written at once; each phase may need what the phases before it have made
PHASES: tuple[tuple[type[Kind], ...], ...] = (
    (SecretBlocks, NotificationBlocks, Variables, WorkPools, GlobalConcurrencyLimits, TagConcurrencyLimits),
    (WorkQueues,),
    (Deployments,),
    (Automations,),
)
KINDS: dict[str, type[Kind]] = {kind.title: kind for phase in PHASES for kind in phase}
