"""What a run would need and how long it would take, before anybody has a machine for it.

`network`    tensors of a network that does not exist yet
`needs`      bytes that travel, are kept and are held, from the codecs' own sizes
`law`        time of a round in closed form, members alike
`simulator`  the same round event by event, members unlike, closed by the coordinator's own rule
`plan`       all of it for a few links and codecs, and which limit is met first
"""
