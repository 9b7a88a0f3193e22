"""Pages on which a person ticks masks and downloads the list."""
