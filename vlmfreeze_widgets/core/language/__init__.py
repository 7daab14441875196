"""Texts that Python writes and a page shows, in the page's language. Everywhere else (print,
terminal, files, errors) they are English.
"""
