"""Helpers that need nothing else of seglab: errors, files, metrics, pictures, printing."""
