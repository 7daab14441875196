"""What touches a model: reading it, applying a plan and undoing it, training it for a burst. Imports core and torch only."""
