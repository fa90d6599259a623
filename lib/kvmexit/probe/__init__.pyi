from kvmexit.probe.atlas import atlas_cases as atlas_cases
from kvmexit.probe.cases import (
    ORIGIN as ORIGIN,
)
from kvmexit.probe.cases import (
    RAM as RAM,
)
from kvmexit.probe.cases import (
    Case as Case,
)
from kvmexit.probe.cases import (
    case as case,
)
from kvmexit.probe.firsts import (
    STORIES as STORIES,
)
from kvmexit.probe.firsts import (
    one_read as one_read,
)
from kvmexit.probe.firsts import (
    saved_too_early as saved_too_early,
)
from kvmexit.probe.fuzz.anomalies import ANOMALIES as ANOMALIES
from kvmexit.probe.repeats import (
    COUNTS as COUNTS,
)
from kvmexit.probe.repeats import (
    drain_repeat as drain_repeat,
)
from kvmexit.probe.report import (
    Report as Report,
)
from kvmexit.probe.report import (
    Row as Row,
)
from kvmexit.probe.report import (
    probe as probe,
)
from kvmexit.probe.report import (
    retirement_of as retirement_of,
)
from kvmexit.probe.saves import SAVES as SAVES
from kvmexit.probe.verdict import (
    Verdict as Verdict,
)
from kvmexit.probe.verdict import (
    begin as begin,
)
