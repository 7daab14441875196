"""From rows of pictures and conversations to micro-batches with labels: ``load.load_batches``. One step of the way per file.

Values are in ``rows``; nothing here trains, and nothing here knows a model beyond its processor and its config.
"""
