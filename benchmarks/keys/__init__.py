"""What the check of a key costs, beside the packages that people use for it."""
