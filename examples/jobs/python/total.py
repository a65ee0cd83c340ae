"""Adds numbers: a job in Python. Needs nothing but Python."""

import json
import os
import signal
import sys
import time

stopped = False


def stop(signal_number, frame):
    global stopped
    stopped = True


def main():
    signal.signal(signal.SIGTERM, stop)
    try:
        order = json.load(sys.stdin)
        numbers = order["numbers"]
        if not all(isinstance(number, int) for number in numbers):
            raise TypeError("a number is not whole")
        pause = float(order.get("secondsEach", 0))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"the input needs a list of whole numbers in `numbers`: {error!r}", file=sys.stderr)
        return 2

    total = 0
    added = 0
    for number in numbers:
        if stopped:
            break
        time.sleep(pause)
        total += number
        added += 1
        print(f"added {added} of {len(numbers)}", flush=True)

    with open(os.environ["EXECUTION_RESULT_FILE"], "w") as file:
        json.dump({"total": total, "added": added}, file)
    return 0 if added == len(numbers) else 75


sys.exit(main())
