"""Look at, check and prepare data sets."""
