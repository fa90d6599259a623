from kvmexit.probe.atlas import atlas_cases as atlas_cases
from kvmexit.probe.cases import (
    ORIGIN as ORIGIN,
    RAM as RAM,
    Case as Case,
    case as case,
)
from kvmexit.probe.firsts import (
    STORIES as STORIES,
    one_read as one_read,
    saved_too_early as saved_too_early,
)
from kvmexit.probe.fuzz.anomalies import ANOMALIES as ANOMALIES
from kvmexit.probe.repeats import (
    COUNTS as COUNTS,
    drain_repeat as drain_repeat,
)
from kvmexit.probe.report import (
    Report as Report,
    Row as Row,
    probe as probe,
    retirement_of as retirement_of,
)
from kvmexit.probe.saves import SAVES as SAVES
from kvmexit.probe.verdict import (
    Verdict as Verdict,
    begin as begin,
)
