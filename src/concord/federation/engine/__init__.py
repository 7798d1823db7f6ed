"""Engines: how messages travel between coordinator and members."""
