"""Keys, signed envelopes, the Merkle tree and its notes: bytes in, bytes out."""
