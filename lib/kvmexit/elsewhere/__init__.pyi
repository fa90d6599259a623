from kvmexit.elsewhere.compare import (
    differences as differences,
    observations as observations,
    rules as rules,
)
from kvmexit.elsewhere.observe import (
    ISAS as ISAS,
    simulation_of as simulation_of,
)
from kvmexit.elsewhere.recordings import (
    provenance as provenance,
    recording_of as recording_of,
)
from kvmexit.elsewhere.simulated import ForeignKernel as ForeignKernel
