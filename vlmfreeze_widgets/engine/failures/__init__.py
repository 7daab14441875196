"""Recognises errors: memory that ran out, a lost device, hooks of other people."""
