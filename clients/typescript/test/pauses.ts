/** Distinguishes the client's pauses from other timers, by the arguments of `setTimeout`. */
export function isPause(timer: readonly unknown[]): boolean {
  // The shortest `Retry-After` is a second. The timers of `fetch` are shorter, or have more arguments.
  return timer.length === 2 && Number(timer[1]) >= 1000;
}
