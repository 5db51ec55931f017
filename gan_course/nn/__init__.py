"""Blocks that two papers or more share."""
