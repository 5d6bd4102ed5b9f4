"""Looking at data, runs and models: plots, report, comparison, doctor."""
