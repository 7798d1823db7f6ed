"""What a member does between two rounds: the inner loop, its state, and measuring the result."""
