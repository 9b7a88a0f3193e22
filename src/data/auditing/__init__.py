"""Which masks are bad: scores from out-of-fold predictions, and rules that need no model."""
