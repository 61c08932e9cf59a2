"""Whether a model still fits the rides: what `python -m jobs report` does, and a flow of your own may.

rides.py       rides with what was predicted for them and what they took
months.py      … of files of trips, with the predictions that `score` wrote or those of a model
stream.py      … of the stream's last day, as collect joined them
features.py    what people know of rides, in bins
drift.py       are these still the rides that were learned from? one answer for each feature
accuracy.py    how far predictions are off, by borough, hour, zone pair and version
coverage.py    zones and pairs that nobody learned from; rides that cannot be predicted
limits.py      what is too much, and why
trained.py     what the training of a model left in MLflow: on which months, how good on held-out rides
findings.py    all of it in one
report.py      … as it was asked for: make_report
summary.py, page.py, pictures.py, logged.py   said in a terminal, in HTML, in MLflow
events.py, rows.py, store.py                  what `python -m jobs collect` keeps, and where
"""
