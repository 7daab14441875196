"""What the documentation makes of the package: tables, help texts, the reference, pictures.

Only `hook` is called by mkdocs, and only `pictures` needs Chromium; the rest are functions that give Markdown.
"""
