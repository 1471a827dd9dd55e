"""What `benchmarks/engine.py` measures, one part in each file."""
