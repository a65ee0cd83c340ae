#!/usr/bin/env python3
"""Counts words: an example of a job that `worker` runs.

    worker -- python3 wordcount.py

A job is any program. It gets its input as JSON on stdin, prints whatever it likes, and its result is the last JSON
object or array. Exit code 0 means that it completed. With any other, the execution fails, and the end of the output is the
error's logTail.
"""

import collections
import json
import re
import sys


def count(text):
    words = re.findall(r"\w+(?:['’]\w+)*", text.lower())
    return {"words": len(words), "unique": len(set(words)), "top": collections.Counter(words).most_common(3)}


def main():
    try:
        text = json.load(sys.stdin)["text"]
        if not isinstance(text, str):
            raise TypeError("text is not a string")
    except (ValueError, KeyError, TypeError) as error:
        print(f'the input has to be an object with a "text": {error!r}', file=sys.stderr)
        return 2

    # Progress goes to the log like everything that is printed; it is not JSON, so it is not a result.
    print(f"counting {len(text)} characters", flush=True)
    print(json.dumps(count(text), ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
