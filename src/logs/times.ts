/** The log service counts in ns since 1970, as bigint; the clock of the agent in ms, as number. */

export const nanos = (ms: number): bigint => BigInt(Math.trunc(ms)) * 1_000_000n

export const latest = (...times: readonly [bigint, ...Array<bigint>]): bigint =>
  times.reduce((a, b) => (b > a ? b : a))
