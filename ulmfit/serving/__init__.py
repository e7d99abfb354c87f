"""A classifier behind a web page and a JSON API."""
