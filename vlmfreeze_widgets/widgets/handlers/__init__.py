"""What each request of the page does to a session: ``core`` has the table of all, each other file the requests of one card."""
