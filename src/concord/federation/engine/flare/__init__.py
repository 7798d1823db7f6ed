"""The engine between sites, on NVIDIA FLARE: members in their own data centres call out only.

FLARE brings certificates, mutual TLS, admission, job rights and the way from process to process.
Everything that decides is ours and knows nothing of FLARE: `wire` is all that it needs.

    wire        asking and answering: what FLARE has to give, as an interface
    words       what is asked and answered
    line        one party's end of a connection: order, acknowledgement, limits
    offers      payloads that wait to be fetched
    fetching    a payload comes in ranges, and goes on where it stopped
    engine      `FlareEngine`: the coordinator's end of all lines
    seat        a member's end: its process, and the line to the coordinator
    cell        `wire` over FLARE's cells
    controller  what runs in the coordinator's job process; `executor` in a member's
    segment     what a job is told, and what it leaves for people to read
    driver      submits one segment after another until the run is over
"""
