/** Receives the client's log messages. `console` and most logging libraries are suitable. */
export interface Logger {
  /** Each response: method, URL, status, request id and duration. */
  debug(message: string, details: object): void;
  /** Each failure that is followed by a retry. */
  warn(message: string, details: object): void;
}

/** Logs nothing. */
export const silent: Logger = { debug: () => undefined, warn: () => undefined };
