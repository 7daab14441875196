"""Functions over tensors, which know no model: digests, norms, precision, random streams."""
