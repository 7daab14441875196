"""Chat templates through transformers' sandboxed renderer, with the places that ``{% generation %}`` marks as the answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


def marks_answers(template: str) -> bool:
    """Whether a template says itself what an answer is."""
    return _GENERATION.search(template) is not None


def render(
    template: str, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any], *, ask: bool = False
) -> str:
    """The conversation as the model reads it, image placeholders not yet expanded.

    Args:
        template: Jinja source.
        messages: Turns with ``role`` and ``content``.
        variables: What the template may name besides, such as ``bos_token``.
        ask: Whether the header of an answer follows at the end.

    Raises:
        Exception: Whatever the template raises.
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    made: Any = render_jinja_template(
        conversations=[list(map(dict, messages))], chat_template=template, add_generation_prompt=ask, **variables
    )
    return str(made[0][0])


def answers_marked(
    template: str, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]
) -> list[tuple[int, int]]:
    """The (start, end) characters that the template marks as answers, in order.

    Raises:
        Exception: Whatever the template raises.
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    made: Any = render_jinja_template(
        conversations=[list(map(dict, messages))],
        chat_template=template,
        return_assistant_tokens_mask=True,
        add_generation_prompt=False,
        **variables,
    )
    return [(int(start), int(end)) for start, end in made[1][0]]
