"""Runs on the disk: folders, what is written while a burst runs, how they are read again."""
