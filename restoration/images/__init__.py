"""File <-> ImageDocument. numpy and Pillow, never torch."""
