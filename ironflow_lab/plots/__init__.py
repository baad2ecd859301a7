"""Frames to plotly figures: plain figures, which still show in a notebook without a kernel."""
