"""The report of the lab's study: baselines, improvements, a network of one's own, two scorings."""
