from kvmexit.vmm.bus import Bus as Bus
from kvmexit.vmm.devices import (
    DEVICES as DEVICES,
    Device as Device,
    Tis as Tis,
    TisIndexed as TisIndexed,
    TisState as TisState,
    tis_2011 as tis_2011,
)
from kvmexit.vmm.machine import (
    COMPENSATIONS as COMPENSATIONS,
    POLICIES as POLICIES,
    RESTORES as RESTORES,
    Machine as Machine,
    Policy as Policy,
    Snapshot as Snapshot,
    drain as drain,
    kick_once as kick_once,
    no_compensation as no_compensation,
    rewind as rewind,
    save_at_once as save_at_once,
    serve_once as serve_once,
    skip_entry as skip_entry,
)
