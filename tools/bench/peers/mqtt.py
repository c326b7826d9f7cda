"""Mosquitto at QoS 1 through paho: `python mqtt.py PORT COUNT WINDOW PAD`. The broker keeps its queue in memory and
writes it down every half an hour."""

import json
import sys
import threading
import time

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion


def publish(port: int, count: int, window: int, pad: str) -> dict[str, float]:
    """`count` messages, `window` not yet acknowledged at most."""
    room = threading.Semaphore(window)
    connected = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(window)
    client.on_connect = lambda *_: connected.set()
    client.on_publish = lambda *_: room.release()
    client.connect("127.0.0.1", port)
    client.loop_start()
    connected.wait(30)
    began = time.time()
    for n in range(count):
        room.acquire()
        client.publish("bench", f"{n} {pad}", qos=1)
    for _ in range(window):
        room.acquire()
    ended = time.time()
    client.disconnect()
    client.loop_stop()
    return {"count": count, "began": began, "ended": ended}


print(json.dumps(publish(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])), flush=True)
