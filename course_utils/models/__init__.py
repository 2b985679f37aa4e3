"""The detectors and their parts, without the way they are trained."""
