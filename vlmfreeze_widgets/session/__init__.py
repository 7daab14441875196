"""The only owner of a live model, and the strategy that is worked on beside it."""

from ..engine.accepted import WATCHED
from ..engine.burst.result import BurstResult
from ..engine.evidence.answers import Question
from ..engine.settings import BurstSettings
from .session import Session
from .shown import Change, Preview, Probed, Proved

__all__ = ["WATCHED", "BurstResult", "BurstSettings", "Change", "Preview", "Probed", "Proved", "Question", "Session"]
