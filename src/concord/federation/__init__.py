"""Coordinator and members: the round as a pure state machine, and the engines that carry it."""
