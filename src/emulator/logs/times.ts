/**
 * Points in time as Loki takes them: nanoseconds or seconds since 1970, or RFC 3339. Pure.
 *
 * Invariant: nanoseconds pass exactly; they are never a floating-point number.
 */

const nanosPerSecond = 1_000_000_000n
/** An integer of up to this many digits is a number of seconds. */
const digitsOfSeconds = 10
const rfc3339 = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})$/u

/** Nanoseconds since 1970; undefined for what is no time. */
export const parseTime = (text: string): bigint | undefined => {
  const seconds = /^([+-]?)(\d{1,10})\.(\d{0,9})\d*$/u.exec(text)
  if (seconds !== null) {
    const nanos = BigInt(seconds[2]!) * nanosPerSecond + BigInt(seconds[3]!.padEnd(9, "0"))
    return seconds[1] === "-" ? -nanos : nanos
  }
  if (/^[+-]?\d{1,19}$/u.test(text)) {
    const number = BigInt(text.replace("+", ""))
    return text.length <= digitsOfSeconds ? number * nanosPerSecond : number
  }
  const written = rfc3339.exec(text)
  if (written === null) return undefined
  const whole = Date.parse(`${written[1]}T${written[2]}${written[4]!.toUpperCase()}`)
  if (Number.isNaN(whole)) return undefined
  return BigInt(whole) * 1_000_000n + BigInt((written[3] ?? "").padEnd(9, "0"))
}
