from kvmexit.vmm.bus import Bus as Bus
from kvmexit.vmm.devices import (
    DEVICES as DEVICES,
)
from kvmexit.vmm.devices import (
    Device as Device,
)
from kvmexit.vmm.devices import (
    Tis as Tis,
)
from kvmexit.vmm.devices import (
    TisIndexed as TisIndexed,
)
from kvmexit.vmm.devices import (
    TisState as TisState,
)
from kvmexit.vmm.devices import (
    tis_2011 as tis_2011,
)
from kvmexit.vmm.machine import (
    COMPENSATIONS as COMPENSATIONS,
)
from kvmexit.vmm.machine import (
    POLICIES as POLICIES,
)
from kvmexit.vmm.machine import (
    RESTORES as RESTORES,
)
from kvmexit.vmm.machine import (
    Machine as Machine,
)
from kvmexit.vmm.machine import (
    Policy as Policy,
)
from kvmexit.vmm.machine import (
    Snapshot as Snapshot,
)
from kvmexit.vmm.machine import (
    drain as drain,
)
from kvmexit.vmm.machine import (
    kick_once as kick_once,
)
from kvmexit.vmm.machine import (
    no_compensation as no_compensation,
)
from kvmexit.vmm.machine import (
    rewind as rewind,
)
from kvmexit.vmm.machine import (
    save_at_once as save_at_once,
)
from kvmexit.vmm.machine import (
    serve_once as serve_once,
)
from kvmexit.vmm.machine import (
    skip_entry as skip_entry,
)
