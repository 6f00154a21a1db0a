"""How inputs are shown: pictures, series and texts."""
