"""Data sets made ready: downloaded and verified, or cut from others."""
