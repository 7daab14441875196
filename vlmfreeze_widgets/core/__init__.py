"""Values and rules in plain Python: nothing in here imports anything but the standard library and itself."""
