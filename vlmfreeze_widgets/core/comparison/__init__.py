"""Statistics over several runs: the board of a comparison and paired differences."""
