"""What a run left: records per step, norms, notes, and how two runs differ."""
