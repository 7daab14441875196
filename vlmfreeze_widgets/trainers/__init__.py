"""Outside trainers, one per file: their settings become a Strategy, a Strategy becomes their settings, and their own rule of
selection is simulated on names. No trainer is imported or run here.
"""
