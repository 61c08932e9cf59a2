"""A table in, predictions out: what `python -m jobs score` does, batch by batch.

protocols.py      the rows of a file, as far as scoring needs to know them: trips, or any table
trip_source.py    rows that are taxi trips, with predictions in the course's columns
table_source.py   rows of any table that has the model's columns
layout.py         where the predictions of a month are stored
engine.py         read → predict on all cores → write, in order
stats.py          counts, means and errors that add up over batches
job.py            one request: find the model, open the rows, score them
database.py       SQL over the predictions, with views.sql
"""
