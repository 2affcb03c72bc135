"""Commands that make and judge a model: `python -m training.<name>`."""
