"""The switch daemon."""
