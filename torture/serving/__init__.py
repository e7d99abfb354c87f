"""Attacks on the server, a module a family; the table's rows are in torture/server.py."""
