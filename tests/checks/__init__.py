"""The invariants that the project promises, by their ids, and the report of what was measured of each."""
