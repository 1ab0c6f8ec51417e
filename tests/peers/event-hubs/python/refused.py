"""Sends an event that is not taken, and prints the error."""

import sys

from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.exceptions import EventHubError

from client import settings

producer = EventHubProducerClient.from_connection_string(**settings(*sys.argv[1:]))
try:
    producer.send_batch([EventData("x")])
    print("taken")
except EventHubError as error:
    print(type(error).__name__, error)
