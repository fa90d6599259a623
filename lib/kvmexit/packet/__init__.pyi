from kvmexit.packet.experiment import (
    Arrival as Arrival,
    Landing as Landing,
    Phase as Phase,
    Result as Result,
    Scenario as Scenario,
    ending_of as ending_of,
    machine_at as machine_at,
    make_machine as make_machine,
    reference as reference,
    response_of as response_of,
    run as run,
)
from kvmexit.packet.invisible import (
    Invisibility as Invisibility,
    invisibility as invisibility,
    suspend_often as suspend_often,
    undisturbed_points as undisturbed_points,
)
from kvmexit.packet.kicks import KICKS as KICKS, Place as Place, kick_races as kick_races
from kvmexit.packet.longtest import (
    LongTest as LongTest,
    compare as compare,
    long_test as long_test,
)
from kvmexit.packet.outcome import (
    Ending as Ending,
    Kind as Kind,
    Outcome as Outcome,
    classify as classify,
)
from kvmexit.packet.races import (
    Tally as Tally,
    race as race,
    recorded_race as recorded_race,
)
from kvmexit.packet.several import survives as survives, undisturbed as undisturbed
from kvmexit.packet.sweeps import (
    Sweep as Sweep,
    sweep as sweep,
    sweep_policies as sweep_policies,
)
from kvmexit.packet.timing import (
    Costs as Costs,
    Cycle as Cycle,
    Odds as Odds,
    expected_share as expected_share,
    packet_seconds as packet_seconds,
    simulate as simulate,
    windows as windows,
)
