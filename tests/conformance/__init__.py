"""Our exports, and random settings of theirs, read by the published trainers themselves (`make conformance`), in an environment
of their own. Not for pytest.
"""
