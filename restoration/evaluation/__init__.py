"""Judging models: metrics, protocols, scores, contact sheets, birth certificates."""
