"""The command line: one small file per command. Knows pipelines, evaluation and training; nothing of the page."""
