import { describe, expect, it } from "@effect/vitest"
import { parseTime } from "../../../src/emulator/logs/times.ts"

describe("a time of a log query", () => {
  it.each([
    ["1795432602990000001", 1_795_432_602_990_000_001n],
    ["1795432602", 1_795_432_602_000_000_000n],
    ["1795432602.99", 1_795_432_602_990_000_000n],
    ["1795432602.1234567899", 1_795_432_602_123_456_789n],
    ["0", 0n],
    ["-5", -5_000_000_000n],
    ["1970-01-01T00:00:01Z", 1_000_000_000n],
    ["1970-01-01T00:00:01.000000001Z", 1_000_000_001n],
    ["1970-01-01T01:00:01.5+01:00", 1_500_000_000n]
  ])("is nanoseconds, seconds or RFC 3339: %s", (text, nanos) => {
    expect(parseTime(text)).toBe(nanos)
  })

  it.each(["", "now", "1e18", "1970-01-01", "1970-13-01T00:00:00Z", "12345678901234567890", "1.2.3", "0x10"])(
    "is none of these: %s",
    (text) => {
      expect(parseTime(text)).toBeUndefined()
    }
  )
})
