"""Side-by-side measurements: commands that print figures, each with what it is measured against."""
