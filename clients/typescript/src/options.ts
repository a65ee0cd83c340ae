/** Settings of an instance, and what a single call may override. */

import type { LonghaulError } from "./errors.js";
import { type Logger, silent } from "./logger.js";

/** What an instance sets for all its calls. */
export interface Settings {
  /**
   * How long one request may take, in milliseconds; 35,000 if absent. API Gateway answers within 30 s or never. Each retry of a call may
   * take this long again: use `signal` to limit the whole call.
   */
  timeout?: number;
  /**
   * How often a request is repeated when the connection fails or the response is a 408, 425, 429 or 5xx. 7 if absent, which takes
   * about half a minute. `wait` retries until its `signal` ends it, unless the call itself sets this.
   */
  maxRetries?: number;
  /** Where each response and each retry is logged. Inputs, results and credentials never are. Nothing is logged if absent. */
  logger?: Logger;
}

/** What every call takes. */
export interface CallOptions extends Settings {
  /** Ends the call and all waiting; the job continues. The call throws the signal's reason. */
  signal?: AbortSignal;
  /** Called for each failure that is followed by a retry. */
  onRetry?: (error: LonghaulError) => void;
}

const DEFAULTS = { timeout: 35_000, maxRetries: 7, logger: silent };

/** A timer of more than this fires at once. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** Fills in the defaults. Throws a `RangeError` if a number is not valid. */
export function settled(settings: Settings, defaults: Required<Settings> = DEFAULTS): Required<Settings> {
  const { timeout = defaults.timeout, maxRetries = defaults.maxRetries, logger = defaults.logger } = settings;
  if (!(timeout > 0 && timeout <= LONGEST_TIMEOUT_MS)) {
    throw new RangeError(`timeout is ${timeout}; it must be a number of milliseconds above 0 and below 2^31`);
  }
  if (!(maxRetries >= 0)) throw new RangeError(`maxRetries is ${maxRetries}; it must be 0 or more`);
  return { timeout, maxRetries, logger };
}

/** The options of the call itself, and those of the operation. */
export function split<Options extends CallOptions>(
  options: Options,
): { call: CallOptions; own: Omit<Options, keyof CallOptions> } {
  const { signal, onRetry, timeout, maxRetries, logger, ...own } = options;
  return {
    call: {
      ...(signal && { signal }),
      ...(onRetry && { onRetry }),
      ...(timeout !== undefined && { timeout }),
      ...(maxRetries !== undefined && { maxRetries }),
      ...(logger && { logger }),
    },
    own,
  };
}
