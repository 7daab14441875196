"""The learning rate that is given beside a strategy (``lr=`` of a burst, a comparison, a recipe): one rule for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from ..arguments import RATE, found_for, maybe
from ..errors import InvalidStrategy
from ..language.format import rate
from .plan import Plan
from .strategy import Strategy

P = TypeVar("P", bound=Plan)
_RATE = maybe(RATE).raising(InvalidStrategy)


def with_general_rate(strategy: Strategy | P | Mapping[str, object], lr: object) -> Strategy | P:
    """The strategy with a rate for whatever has none of its own there. What the strategy names wins, and the plan says so where
    the rate then reaches nothing (its warning "unused-rate").

    Args:
        strategy: Rules, or a plan, whose rates are settled.
        lr: The rate; None for none.

    Raises:
        InvalidStrategy: No rate; or the strategy is a plan, or has another general rate: one of the two would be dropped.
    """
    _RATE.check("A strategy", "lr", lr)
    if isinstance(strategy, Plan):
        if lr is None:
            return strategy
        raise InvalidStrategy(
            "The rates of a plan are settled.",
            expected="lr beside a strategy, or a plan alone",
            found=f"lr={found_for(lr)} beside a plan",
            remedy="Give the strategy instead of the plan, or name the rates there: vf.Strategy(..., lr=...).",
        )
    asked = strategy if isinstance(strategy, Strategy) else Strategy(strategy)
    if lr is None:
        return asked
    if asked.lr.get("", lr) != lr:
        raise InvalidStrategy(
            "There are two rates for everything that has none of its own.",
            expected="one of them",
            found=f"lr={found_for(lr)} beside the strategy's own {rate(asked.lr[''])}",
            remedy=f"Leave lr out, or change the strategy: strategy.with_lr('', {lr}).",
        )
    return Strategy(asked.rules, {"": lr, **asked.lr}, asked.weight_decay, asked.name)  # type: ignore[dict-item]  # checked
