"""The same recipe on several processes, outside the notebook: the file, the run, its folder, and following it from a page.

``python -m vlmfreeze_widgets.launch recipe.json`` is ``launch.__main__``. Bursts inside the notebook are ``engine.burst.burst``.
"""
