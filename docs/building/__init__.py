"""What the documentation makes of the package: tables, help texts, the reference. Only `hook` knows mkdocs; `pictures` needs Chromium."""
