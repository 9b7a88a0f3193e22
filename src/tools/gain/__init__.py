"""What `seglab repair-gain` is made of: the two sides, and runs that are done once."""
