"""The learner's own labels: read, hold against the images, split, export."""
