"""Colours of every plot and chart."""

BLUE = "#2563a8"
ORANGE = "#d9772b"
GREY = "#555555"
