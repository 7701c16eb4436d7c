"""Static int8 of any CLIP tower: savings, calibration, SmoothQuant, QDQ, mixed precision."""
