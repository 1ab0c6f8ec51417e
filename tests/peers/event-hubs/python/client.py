"""Arguments of the clients: where the peer is, and what they trust."""

from urllib.parse import urlparse


def settings(connection_string, ca_file=None):
    """Keyword arguments of `from_connection_string` for a connection string of the peer. The client
    takes no port from a connection string, only from a custom endpoint."""
    fields = dict(field.split("=", 1) for field in connection_string.split(";") if field)
    endpoint = urlparse(fields["Endpoint"])
    without_port = connection_string.replace(endpoint.netloc, endpoint.hostname)
    settings = {
        "conn_str": without_port,
        "custom_endpoint_address": f"sb://{endpoint.hostname}:{endpoint.port}",
        "retry_total": 0,
    }
    if ca_file:
        settings["connection_verify"] = ca_file
    return settings
