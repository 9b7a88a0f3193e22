"""A drawn cats-and-dogs data set, with known mask faults on request."""
