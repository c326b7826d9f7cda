"""Watches the machine, its folders and the bus, and says when something begins, worsens or ends."""
