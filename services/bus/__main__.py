"""Run the bus: `python -m services.bus`."""

from services.bus.server import main

main()
