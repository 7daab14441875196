"""Which language a page is asked to speak: an argument, else the variable VLMFREEZE_LANGUAGE, else as the page's host. What a host
speaks, and what a user chose, only the page knows.
"""

from __future__ import annotations

import os

from ..errors import InvalidOption
from .phrase import LANGUAGES, Language

ENVIRONMENT = "VLMFREEZE_LANGUAGE"
AUTO = "auto"


def asked_language(language: str | None) -> str:
    """ "auto", "en" or "zh".

    Args:
        language: None takes the variable's.

    Raises:
        InvalidOption: Another language, be it in the argument or in the variable.
    """
    wanted = (os.environ.get(ENVIRONMENT) or AUTO) if language is None else language
    if not isinstance(wanted, str) or (wanted != AUTO and wanted not in LANGUAGES):
        raise InvalidOption(
            "The page does not speak this language.",
            expected=" or ".join([AUTO, *LANGUAGES]),
            found=repr(wanted),
            remedy=f"Set language={AUTO!r} to follow the host." if language is not None else f"Change {ENVIRONMENT}.",
        )
    return wanted


def first_words(language: str) -> Language:
    """In which language Python's own texts are until the page says which it speaks."""
    return "zh" if language == "zh" else "en"
