"""The log, its statements, the state that follows from them, replay and verification."""
