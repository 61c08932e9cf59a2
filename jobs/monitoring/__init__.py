"""Whether a model still fits the rides: what `python -m jobs report` does, and a flow of your own may.

rides.py       rides with what was predicted for them and what they took
months.py      … of files of trips, with the predictions that `score` wrote or those of a model
trained.py     what the training of a model left in MLflow: on which months, how good on held-out rides
drift.py       are these still the rides that were learned from? one answer for each feature
accuracy.py    how far predictions are off, by borough, hour, zone pair and version
coverage.py    zones and pairs that nobody learned from; rides that cannot be predicted
limits.py      what is too much, and why
report.py      all of it in one: make_report
"""
