"""From a validated request to a finished picture; what takes more than one pass lives here too."""
