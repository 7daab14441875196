"""Observes a model while it trains: movement, interference, held-out loss, retention, answers."""
