"""A federation between sites: kits, site files, processes, and what can be seen of them.

The bytes between sites are carried by `engine.flare`; here is what people do before and around it.
"""
