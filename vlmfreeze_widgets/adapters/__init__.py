"""One third-party library per file, imported when it is first needed."""
