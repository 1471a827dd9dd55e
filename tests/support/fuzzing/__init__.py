"""Generated input for every command: each is accepted rightly or refused in one line.

`python -m tests.support.fuzzing --seed 0 --cases 1500` prints how many were of which kind. A case
follows from the seed and its number alone. What fails is printed with its input, and kept.
"""
