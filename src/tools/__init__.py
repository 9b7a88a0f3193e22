"""What a person runs: `python src/tools/NAME.py`, `seglab NAME`."""
