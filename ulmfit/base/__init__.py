"""The ground floor: errors, atomic files, locks, progress, hardware, and how a function becomes a
command. Imports nothing of the project.
"""
