"""One optimizer step: loss, gradients, update, and the way back from a step that failed."""
