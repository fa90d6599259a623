from kvmexit.kernel.ram import Ram as Ram
from kvmexit.kernel.real import (
    RealKernel as RealKernel,
)
from kvmexit.kernel.real import (
    RealVcpu as RealVcpu,
)
from kvmexit.kernel.real import (
    RealVm as RealVm,
)
from kvmexit.kernel.recorded import (
    RecordedKernel as RecordedKernel,
)
from kvmexit.kernel.recorded import (
    shipped as shipped,
)
from kvmexit.kernel.recorder import Recorder as Recorder
from kvmexit.kernel.retirement import (
    MACHINES as MACHINES,
)
from kvmexit.kernel.retirement import (
    Pc as Pc,
)
from kvmexit.kernel.retirement import (
    Retirement as Retirement,
)
from kvmexit.kernel.simulated import SimulatedKernel as SimulatedKernel
