"""Data sets, images and their targets, downloads; `labels` reads other tools' files."""
