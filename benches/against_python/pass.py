"""What `pass.yaml` says, by hand."""

import os

import orjson


def main():
    with open(os.environ["LINES"], "rb") as lines, open(os.environ["OUT"], "wb") as out:
        for line in lines:
            event = orjson.loads(line)
            out.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))


main()
