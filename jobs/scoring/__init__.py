"""A table in, predictions out: what `python -m jobs score` does, batch by batch.

subject.py     what the rows are, as far as scoring needs to know: trips, or any table
trips.py       rows that are taxi trips, in the course's columns
table.py       rows of any table whose columns a model takes
layout.py      where the predictions of a month are kept
run.py         read → predict on all cores → write, in order
outcome.py     counts, means and errors, added up
"""
