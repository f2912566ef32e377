"""Tests of restoration.images."""
