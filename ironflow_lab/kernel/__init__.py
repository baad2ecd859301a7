"""The only code that touches IPython: which kernel this is, where output goes, waiting, display."""
