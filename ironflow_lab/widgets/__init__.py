"""Views with their state in the browser: one anywidget class each, and the static form beside it."""
