"""Reads so many events from the start of all partitions, and prints them in their order."""

import sys
import threading

from azure.eventhub import EventHubConsumerClient

from client import settings

connection_string, wanted = sys.argv[1], int(sys.argv[2])
consumer = EventHubConsumerClient.from_connection_string(
    consumer_group="$Default", **settings(connection_string, *sys.argv[3:])
)
events, errors, all_here, lock = [], [], threading.Event(), threading.Lock()


def take(partition, batch):
    with lock:
        events.extend((int(partition.partition_id), event.sequence_number, event) for event in batch)
        if len(events) >= wanted:
            all_here.set()


def fail(partition, error):
    errors.append(error)
    all_here.set()


reading = threading.Thread(
    target=consumer.receive_batch,
    kwargs={"on_event_batch": take, "on_error": fail, "starting_position": "-1"},
)
reading.start()
in_time = all_here.wait(30)
consumer.close()
reading.join(30)
assert in_time and not errors, (len(events), errors)


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


for partition, sequence, event in sorted(events, key=lambda event: event[:2]):
    kind = text(event.properties.get(b"kind") or event.properties.get("kind"))
    key = "None" if event.partition_key is None else text(event.partition_key)
    body = b"".join(event.body)
    print(partition, sequence, event.offset, key, text(event.message_id), kind, len(body))
