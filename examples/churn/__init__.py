"""Customer churn: the batch job on a table that has nothing to do with rides."""
