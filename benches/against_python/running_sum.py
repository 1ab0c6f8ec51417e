"""What `running_sum.yaml` says, by hand."""

import os

import orjson


def main():
    sums = {}
    with open(os.environ["LINES"], "rb") as lines, open(os.environ["OUT"], "wb") as out:
        for line in lines:
            event = orjson.loads(line)
            payload = event["payload"]
            store = payload["store_id"]
            cents = sums.get(store, 0) + payload["total_cents"]
            if cents >= 1000000:
                event["parent_event_id"] = event["trace_id"]
                event["event_type"] = "ten_thousand_taken"
                event["payload"] = {"store_id": store, "cents": cents}
                out.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
                cents = 0
            sums[store] = cents


main()
