"""Errors, atomic files, locks, progress, hardware, and the command line. Imports no other room."""
