/** Tells the client's pauses from the other timers of a test, by the arguments of `setTimeout`. */
export function isPause(timer: readonly unknown[]): boolean {
  // The shortest `Retry-After` is a second. The timers of `fetch` are shorter, or hand something on.
  return timer.length === 2 && Number(timer[1]) >= 1000;
}
