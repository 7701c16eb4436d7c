"""Quantisation-aware training: an fp32 tower to an int8 graph whose weights and scales were trained for it."""
