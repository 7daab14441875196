"""``python -m vlmfreeze_widgets`` is the command ``vlmfreeze``."""

from .cli import main

main()
