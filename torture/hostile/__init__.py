"""What strangers do to a model directory; `torture.strangers` sees what becomes of it."""
