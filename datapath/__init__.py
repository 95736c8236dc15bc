"""The switching library: C in src/, a thin Python face here. Importing the package imports nothing."""
