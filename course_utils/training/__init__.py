"""The training loop and the recipe of each detector."""
