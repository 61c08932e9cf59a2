"""Customers who may leave: the batch job on a table that has nothing to do with rides."""
