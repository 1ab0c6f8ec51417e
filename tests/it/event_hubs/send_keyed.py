"""Sends so many JSON objects, each with a partition key, in batches of one key."""

import json
import sys

from azure.eventhub import EventData, EventHubProducerClient

connection_string, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
producer = EventHubProducerClient.from_connection_string(
    connection_string, custom_endpoint_address=f"sb://localhost:{port}", retry_total=0
)
KEYS = 10
with producer:
    for first in range(0, count, 100 * KEYS):
        for key in range(KEYS):
            batch = producer.create_batch(partition_key=f"store_{key}")
            for number in range(first + key, min(first + 100 * KEYS, count), KEYS):
                event = EventData(json.dumps({"number": number, "store": key}))
                event.message_id = f"python-{number}"
                batch.add(event)
            producer.send_batch(batch)
