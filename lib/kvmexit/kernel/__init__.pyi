from kvmexit.kernel.ram import Ram as Ram
from kvmexit.kernel.real import (
    RealKernel as RealKernel,
    RealVcpu as RealVcpu,
    RealVm as RealVm,
)
from kvmexit.kernel.recorded import (
    RecordedKernel as RecordedKernel,
    shipped as shipped,
)
from kvmexit.kernel.recorder import Recorder as Recorder
from kvmexit.kernel.retirement import (
    MACHINES as MACHINES,
    Pc as Pc,
    Retirement as Retirement,
)
from kvmexit.kernel.simulated import SimulatedKernel as SimulatedKernel
