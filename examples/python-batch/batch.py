#!/usr/bin/env python3
"""A batch: converts prices, one after the other, with progress on stdout and the result in a file.

Input: {"prices": ["9.99 EUR", …], "rates": {"EUR": 1.08, …}}. A price that cannot be converted does not stop the batch: the result
lists it, and the exit code is 0. Only an invalid input fails the job.
"""

import json
import os
import signal
import sys
from decimal import Decimal, InvalidOperation

stopping = False


def stop(*_):
    # SIGTERM comes on a cancel, at the deadline and when the platform stops the task. SIGKILL follows after 30 seconds.
    global stopping
    stopping = True


def convert(price, rates):
    amount, currency = price.split()
    return str((Decimal(amount) * Decimal(str(rates[currency]))).quantize(Decimal("0.01")))


def main():
    signal.signal(signal.SIGTERM, stop)
    try:
        job = json.load(sys.stdin)
        prices, rates = list(job["prices"]), dict(job["rates"])
    except (ValueError, KeyError, TypeError) as error:
        print(f'the input must be like {{"prices": ["9.99 EUR"], "rates": {{"EUR": 1.08}}}}: {error!r}', file=sys.stderr)
        return 2

    converted, refused = {}, {}
    for nth, price in enumerate(prices, start=1):
        if stopping:
            print(f"stopped before price {nth}", file=sys.stderr)
            return 143
        try:
            converted[price] = convert(price, rates)
        except (ValueError, KeyError, InvalidOperation, AttributeError) as error:
            refused[str(price)] = repr(error)
        # Everything that is printed goes to the log. It is not the result, because there is a result file.
        print(f"{nth} of {len(prices)} ({100 * nth // len(prices)} %)", flush=True)

    with open(os.environ["EXECUTION_RESULT_FILE"], "w") as file:
        json.dump({"converted": converted, "refused": refused}, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
