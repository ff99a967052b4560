"""Adapters of other libraries: each is imported when one of its environments is made."""
