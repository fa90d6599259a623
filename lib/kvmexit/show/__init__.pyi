from kvmexit.show.atlas_figure import atlas_map as atlas_map
from kvmexit.show.explorer import explore as explore
from kvmexit.show.figures import (
    devices as devices,
    grid as grid,
    strip as strip,
)
from kvmexit.show.films import film as film
from kvmexit.show.listings import (
    card as card,
    listing as listing,
)
from kvmexit.show.moving.chances import chances as chances
from kvmexit.show.moving.kick_race import kicks as kicks
from kvmexit.show.moving.last_copy import migration as migration
from kvmexit.show.moving.log_walk import walk as walk
from kvmexit.show.moving.parked import parks as parks
from kvmexit.show.moving.two_machines import two_machines as two_machines
from kvmexit.show.night import dots as dots
from kvmexit.show.odds_figure import odds as odds
from kvmexit.show.questions import predict as predict
from kvmexit.show.strip_questions import (
    paint as paint,
    tap as tap,
)
from kvmexit.show.texts import text as text
from kvmexit.show.trials import trial as trial
from kvmexit.show.words import wants as wants
