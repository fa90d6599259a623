from kvmexit.packet.experiment import (
    Arrival as Arrival,
)
from kvmexit.packet.experiment import (
    Landing as Landing,
)
from kvmexit.packet.experiment import (
    Phase as Phase,
)
from kvmexit.packet.experiment import (
    Result as Result,
)
from kvmexit.packet.experiment import (
    Scenario as Scenario,
)
from kvmexit.packet.experiment import (
    ending_of as ending_of,
)
from kvmexit.packet.experiment import (
    machine_at as machine_at,
)
from kvmexit.packet.experiment import (
    make_machine as make_machine,
)
from kvmexit.packet.experiment import (
    reference as reference,
)
from kvmexit.packet.experiment import (
    response_of as response_of,
)
from kvmexit.packet.experiment import (
    run as run,
)
from kvmexit.packet.invisible import (
    Invisibility as Invisibility,
)
from kvmexit.packet.invisible import (
    invisibility as invisibility,
)
from kvmexit.packet.invisible import (
    suspend_often as suspend_often,
)
from kvmexit.packet.invisible import (
    undisturbed_points as undisturbed_points,
)
from kvmexit.packet.longtest import (
    LongTest as LongTest,
)
from kvmexit.packet.longtest import (
    compare as compare,
)
from kvmexit.packet.longtest import (
    long_test as long_test,
)
from kvmexit.packet.outcome import (
    Ending as Ending,
)
from kvmexit.packet.outcome import (
    Kind as Kind,
)
from kvmexit.packet.outcome import (
    Outcome as Outcome,
)
from kvmexit.packet.outcome import (
    classify as classify,
)
from kvmexit.packet.races import (
    Tally as Tally,
)
from kvmexit.packet.races import (
    race as race,
)
from kvmexit.packet.races import (
    recorded_race as recorded_race,
)
from kvmexit.packet.sweeps import (
    Sweep as Sweep,
)
from kvmexit.packet.sweeps import (
    sweep as sweep,
)
from kvmexit.packet.sweeps import (
    sweep_policies as sweep_policies,
)
from kvmexit.packet.timing import (
    Costs as Costs,
)
from kvmexit.packet.timing import (
    Cycle as Cycle,
)
from kvmexit.packet.timing import (
    Odds as Odds,
)
from kvmexit.packet.timing import (
    expected_share as expected_share,
)
from kvmexit.packet.timing import (
    packet_seconds as packet_seconds,
)
from kvmexit.packet.timing import (
    simulate as simulate,
)
