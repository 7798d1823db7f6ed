"""The observatory: a folder of public pages, made from a log and its releases alone."""
