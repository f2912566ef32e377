"""Degradations, data, recipes and the loop that trains the bundled weights."""
