"""Frozen records as they travel: one module per upstream service, no behaviour.

Connect messages (camelCase) are in `runs`, `events`, `functions` and `server`; the worker's REST
dialect (snake_case) is in `workers`.
"""
