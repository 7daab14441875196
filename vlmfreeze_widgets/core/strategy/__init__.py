"""What trains, and how: tunings and rules, met with one tree as a plan."""
