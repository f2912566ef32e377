"""One network over one document: device, sizing, tiling, and the engine that drives them."""
