"""Estimates the cost of a step by tracing the model's own code on fake tensors."""
