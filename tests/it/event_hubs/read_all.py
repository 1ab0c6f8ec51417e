"""Reads so many events from the start of all partitions, and prints each as it comes: partition,
sequence, partition key, message id, correlation id, content type, properties and body."""

import json
import sys
import threading

from azure.eventhub import EventHubConsumerClient


def text(value):
    return value.decode() if isinstance(value, bytes) else value


connection_string, port, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = EventHubConsumerClient.from_connection_string(
    connection_string,
    consumer_group="$Default",
    custom_endpoint_address=f"sb://localhost:{port}",
    retry_total=0,
)
events, errors, over, lock = [], [], threading.Event(), threading.Lock()


def take(partition, batch):
    with lock:
        events.extend((partition.partition_id, event) for event in batch)
        if len(events) >= wanted:
            over.set()


def fail(partition, error):
    errors.append(error)
    over.set()


reading = threading.Thread(
    target=consumer.receive_batch,
    kwargs={
        "on_event_batch": take,
        "on_error": fail,
        "starting_position": "-1",
        "max_batch_size": 3000,
        "prefetch": 3000,
    },
)
reading.start()
in_time = over.wait(240)
consumer.close()
reading.join(30)
assert in_time and not errors, (len(events), errors)

for partition, event in events:
    fields = {
        "partition": int(partition),
        "sequence": event.sequence_number,
        "key": text(event.partition_key),
        "message_id": text(event.message_id),
        "correlation_id": text(event.correlation_id),
        "content_type": text(event.content_type),
        "properties": {text(name): text(value) for name, value in event.properties.items()},
        "body": b"".join(event.body).decode(),
    }
    print(json.dumps(fields))
