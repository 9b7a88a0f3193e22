"""Compare tested runs and write about them; reads run folders, never trains."""
