"""Changes a model as a plan says, and can undo it to the bit."""
