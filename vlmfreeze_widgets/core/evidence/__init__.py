"""Judgements from facts: verdicts, the proof that frozen tensors did not change, findings of a probe."""
