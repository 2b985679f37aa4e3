"""What the notebooks need besides: plots, widgets, checks, and how they are made."""
