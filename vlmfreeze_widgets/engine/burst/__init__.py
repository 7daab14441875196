"""The burst: a generator of training steps, its checkpoints, its result."""
