"""Sends events in every way: with a key, to a partition, as a list, and a large one."""

import sys

from azure.eventhub import EventData, EventHubProducerClient

from client import settings


def event(kind, number, body=None):
    event = EventData(body or f"{kind} {number}")
    event.properties = {"kind": kind, "number": number}
    event.message_id = f"{kind}-{number}"
    event.correlation_id = "trace"
    event.content_type = "text/plain"
    return event


producer = EventHubProducerClient.from_connection_string(**settings(*sys.argv[1:]))
with producer:
    assert producer.get_eventhub_properties()["partition_ids"] == ["0", "1", "2", "3"]
    assert producer.get_partition_properties("0")["is_empty"]
    batch = producer.create_batch(partition_key="device-7")
    assert batch.max_size_in_bytes == 1048576, batch.max_size_in_bytes
    for number in range(5):
        batch.add(event("keyed", number))
    producer.send_batch(batch)
    batch = producer.create_batch(partition_id="3")
    for number in range(3):
        batch.add(event("fixed", number))
    producer.send_batch(batch)
    producer.send_batch([event("listed", 0), event("listed", 1)])
    producer.send_event(event("large", 0, "x" * 200_000))
