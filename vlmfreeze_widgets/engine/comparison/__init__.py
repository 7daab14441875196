"""Several strategies on one model and the same batches."""
