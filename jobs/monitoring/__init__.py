"""Monitoring: does the model still fit the rides? `report.make_report` answers for the CLI and for flows."""
