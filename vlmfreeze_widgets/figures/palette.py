"""Colours of finished figures. A figure does not know the theme of its page: each is distinct from white and from dark."""

COLOURWAY = ("#2f6fde", "#d97a1f", "#1f9d7a", "#8263dc", "#c9436f", "#8a7a1f", "#1f8fa8", "#6f7684")
INK = "#747d8e"  # of letters
GRID = "rgba(128,138,155,0.28)"
