"""What runs a network's arithmetic: torch, or the same network converted for OpenVINO's CPU plugin."""
