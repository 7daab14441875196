"""The notebook widgets: what a session and a history look like to a page. Never names torch."""
