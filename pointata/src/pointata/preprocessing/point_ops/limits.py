"""How much is worked on at a time."""

#: Farthest points are searched among at most so many candidates: what one multiprocessor of a GPU holds.
MOST_CANDIDATES = 16384
