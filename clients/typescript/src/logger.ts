/** Where the client says what it does. `console` will do, and so will most logging libraries. */
export interface Logger {
  /** Each response: method, URL, status, request id and duration. */
  debug(message: string, details: object): void;
  /** Each failure that is followed by a retry. */
  warn(message: string, details: object): void;
}

/** Logs nothing. */
export const silent: Logger = { debug: () => undefined, warn: () => undefined };
