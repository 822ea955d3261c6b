"""Measurements of our propagators against another code, side by side on one machine."""
