"""A member's text: readers, cleaning, held-out split, tokenizer, token shards, samples."""
