"""What `enrich.yaml` says, by hand."""

import os

import orjson


def main():
    with open(os.environ["LINES"], "rb") as lines, open(os.environ["OUT"], "wb") as out:
        for line in lines:
            event = orjson.loads(line)
            payload = event["payload"]
            if payload["store_id"] % 10 == 0:
                continue
            payload["net_cents"] = payload["total_cents"] - payload["tax_cents"]
            payload["item_cents"] = payload["total_cents"] // payload["item_count"]
            out.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))


main()
