"""What every layer stands on: errors, canonical JSON, digests, files, clocks and identifiers."""
