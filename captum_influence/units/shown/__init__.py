"""How inputs are shown: pictures and series."""
