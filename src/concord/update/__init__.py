"""One update, and many into one: codecs, screening, merge rules, outer optimiser. numpy only."""
