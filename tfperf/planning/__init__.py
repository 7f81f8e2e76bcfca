"""How many systems a load needs."""
