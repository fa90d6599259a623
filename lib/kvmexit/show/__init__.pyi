from kvmexit.show.atlas_figure import atlas as atlas
from kvmexit.show.explorer import explore as explore
from kvmexit.show.figures import (
    devices as devices,
    grid as grid,
    odds as odds,
    strip as strip,
)
from kvmexit.show.films import film as film
from kvmexit.show.kick_film import kicks as kicks
from kvmexit.show.listings import (
    card as card,
    listing as listing,
)
from kvmexit.show.night import dots as dots
from kvmexit.show.questions import predict as predict
from kvmexit.show.texts import text as text
from kvmexit.show.words import wants as wants
