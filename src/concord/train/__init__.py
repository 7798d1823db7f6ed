"""The inner loop, its optimisers, and what a model is measured by."""
