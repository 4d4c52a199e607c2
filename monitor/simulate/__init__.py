"""Five simulated firms and a laboratory that post through the real gateway, for the demo, trials of rules and load.

Lives here: signals, faults and their script, the feed of a facility, the pusher, the rehearsal (the same posts folded
without Kafka), the demo's register and story.
May not: reach Kafka, the store or the engine's state of a running system; a simulated firm has the front door and a key.

How time runs. The log's receive time is the broker's clock; rules refuse readings stamped ahead of it and judge silences
by it. So a simulated reading is stamped with the true instant at which it is posted, and never ahead. What is sped up is
the physics: signal time runs `speed` times as fast as the clock (at 60 a day passes in 24 minutes, a door stands open for
three seconds), and the demo's register asks for a reading every two seconds where a real one asks for one a minute. All
limits, counts and delays of the rules stay as shipped: an alarm of the demo is an alarm of the product. The price is said
in docs/demo.md: rules that count real hours (a value that does not move for 60 minutes) take real hours here too.

Signals are functions of (seed, facility, tag, instant). A run that starts again with its seed sends the same values for the
same instants, so what it sends twice is a duplicate and not a conflict.
"""
