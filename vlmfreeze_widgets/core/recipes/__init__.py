"""Published strategies, presets, and strategies in an order (stages)."""
