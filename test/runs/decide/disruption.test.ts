import { describe, expect, it } from "@effect/vitest"
import {
  type Absence,
  absenceIn,
  allowedOf,
  disruptionWindow,
  type Ledger,
  type Verdict,
  weigh
} from "../../../src/runs/decide/disruption.ts"

const ids = (count: number, name = "r") => Array.from({ length: count }, (_, n) => `${name}${n}`)
const wanted = (count: number, kind: Absence) =>
  new Map(ids(count).map((id) => [id, { kind, heldSince: undefined, forPerson: false }]))
const ledger = (more: Partial<Ledger> = {}): Ledger => ({
  wants: new Map(),
  carriedAt: new Map(),
  seenAgainAt: undefined,
  wentBackAt: undefined,
  doubted: new Set(),
  ...more
})
const now = 10 * disruptionWindow
const live = (count: number) => new Set(ids(count))
/** The same wants weighed again, that much later. */
const later = (verdict: Verdict, by: number, more: Partial<Ledger> = {}, count = 100) =>
  weigh(ledger({ wants: verdict.wants, ...more }), live(count), undefined, now + by)

describe("how many jobs absence may end", () => {
  it("is five, or a tenth of the live ones, and less than half of two or more, but always one", () => {
    expect(
      [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 50, 59, 60, 69, 1000].map((n) => allowedOf(n, undefined))
    ).toEqual([5, 5, 1, 1, 1, 2, 4, 5, 5, 5, 5, 5, 6, 6, 100])
  })

  it("is what a person says, and nothing else then", () => {
    expect([1, 2, 50].map((n) => allowedOf(n, 7))).toEqual([7, 7, 7])
    expect(allowedOf(50, 0)).toBe(0)
  })
})

describe("the weighing of what absence asks for", () => {
  for (const kind of ["gone", "deleted"] as const) {
    it(`permits all that is allowed, and nothing of one more: ${kind}`, () => {
      expect(weigh(ledger({ wants: wanted(5, kind) }), live(50), undefined, now).permitted.size).toBe(5)
      expect(weigh(ledger({ wants: wanted(6, kind) }), live(50), undefined, now).permitted.size).toBe(0)
      expect(weigh(ledger({ wants: wanted(6, kind) }), live(50), 6, now).permitted.size).toBe(6)
    })
  }

  it("counts what is only suspected, and what was carried out in the last fifteen minutes", () => {
    const suspects = new Map([
      ...wanted(3, "gone"),
      ...ids(3, "s").map((id) => [id, { kind: "suspect", heldSince: undefined, forPerson: false }] as const)
    ])
    expect(weigh(ledger({ wants: suspects }), live(50), undefined, now).permitted.size).toBe(0)
    const carriedAt = (ago: number) => new Map(ids(3, "c").map((id) => [id, now - ago]))
    const wants = wanted(3, "gone")
    expect(
      weigh(ledger({ wants, carriedAt: carriedAt(disruptionWindow - 1) }), live(50), undefined, now).permitted
        .size
    ).toBe(0)
    expect(
      weigh(ledger({ wants, carriedAt: carriedAt(disruptionWindow) }), live(50), undefined, now).permitted
        .size
    ).toBe(3)
  })

  it("counts a run once that was carried out and is still wanted", () => {
    const wants = wanted(5, "deleted")
    const carriedAt = new Map([...wants.keys()].map((id) => [id, now - 1]))
    expect(weigh(ledger({ wants, carriedAt }), live(50), undefined, now).permitted.size).toBe(5)
  })

  it("counts the absent ones among the live ones", () => {
    // Two of four are gone, then two of five.
    const wants = wanted(2, "gone")
    expect(weigh(ledger({ wants }), new Set(ids(2, "o")), undefined, now).permitted.size).toBe(0)
    expect(weigh(ledger({ wants }), new Set(ids(3, "o")), undefined, now).permitted.size).toBe(2)
  })

  it("lets vanished jobs go ahead after fifteen more minutes, and jobs of deleted runs never", () => {
    const gone = weigh(ledger({ wants: wanted(20, "gone") }), live(100), undefined, now)
    expect(later(gone, disruptionWindow - 1).permitted.size).toBe(0)
    expect(later(gone, disruptionWindow).permitted.size).toBe(20)
    const deleted = weigh(ledger({ wants: wanted(20, "deleted") }), live(100), undefined, now)
    expect(later(deleted, 100 * disruptionWindow).permitted.size).toBe(0)
  })

  it("does not let jobs of deleted runs go when the others have ended by themselves", () => {
    const deleted = weigh(ledger({ wants: wanted(20, "deleted") }), live(100), undefined, now)
    const left = new Map([...deleted.wants].slice(0, 2))
    expect(weigh(ledger({ wants: left }), live(100), undefined, now + 1).permitted.size).toBe(0)
  })

  it("holds everything for fifteen minutes after something was seen again", () => {
    const seenAgainAt = now
    for (const kind of ["gone", "deleted"] as const) {
      const first = weigh(ledger({ wants: wanted(1, kind), seenAgainAt }), live(100), undefined, now)
      expect(first.permitted.size).toBe(0)
      expect(later(first, disruptionWindow - 1, { seenAgainAt }).permitted.size).toBe(0)
      expect(later(first, disruptionWindow, { seenAgainAt }).permitted.size).toBe(1)
    }
  })

  it("leaves it to a person to stop the job of a run that was itself seen again", () => {
    const doubted = new Set(["r0"])
    const first = weigh(ledger({ wants: wanted(2, "deleted"), doubted }), live(100), undefined, now)
    expect([...first.permitted]).toEqual(["r1"])
  })

  it("leaves it to a person to stop jobs of runs that a restored database does not know", () => {
    const first = weigh(ledger({ wants: wanted(1, "deleted"), wentBackAt: now }), live(100), undefined, now)
    expect(later(first, 10 * disruptionWindow).permitted.size).toBe(0)
  })
})

describe("what rests on absence", () => {
  const absent = { _tag: "Absent", gone: true, provenAbsent: true, whose: "ours" } as const
  const crashed = { _tag: "Propose", state: "CRASHED", why: "", thenStop: false } as const
  const was = { jobWasThere: true, notFound: 5 }

  it("is an end that is concluded from a job's not being there, where there was one", () => {
    expect(absenceIn(crashed, absent, was)).toBe("gone")
    expect(absenceIn({ ...crashed, state: "CANCELLED" }, { ...absent, gone: false }, was)).toBe("gone")
    expect(absenceIn({ _tag: "MakeClaimable", why: "", thenStop: false }, absent, was)).toBe("gone")
  })

  it("is a hand-back of a claim that may have had a job", () => {
    expect(absenceIn({ _tag: "HandBack", why: "" }, { ...absent, gone: false }, was)).toBe("gone")
  })

  it("is not a cancel or a hand-back of what never had a job, or anything that was seen", () => {
    const never = { jobWasThere: false, notFound: 0 }
    expect(absenceIn({ ...crashed, state: "CANCELLED" }, { ...absent, gone: false }, never)).toBe(undefined)
    expect(absenceIn({ _tag: "HandBack", why: "" }, absent, never)).toBe(undefined)
    const failed = {
      _tag: "Final",
      stage: "failed",
      looks: 2,
      age: 0,
      exit: { code: 1, text: "" },
      stopAsked: false
    } as const
    expect(absenceIn(crashed, failed, was)).toBe(undefined)
  })

  it("is suspected from the first 404 on", () => {
    const wait = { _tag: "Wait", why: "" } as const
    expect(absenceIn(wait, { ...absent, gone: false }, { jobWasThere: true, notFound: 1 })).toBe("suspect")
    expect(absenceIn(wait, { ...absent, gone: false }, { jobWasThere: true, notFound: 0 })).toBe(undefined)
  })
})
