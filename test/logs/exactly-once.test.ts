import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { idOf, jobOf, linesOf, makeService, pass, type Print, type Service, withRelay } from "./world.ts"

/** What happens after a pause in ms. `late`: in ms, how long the lines are on their way to the log service. */
const Happening = Schema.Struct({
  pause: Schema.Literals([0, 0, 0, 40, 250, 1_000, 4_000, 31_000]),
  what: Schema.Literals([
    "print",
    "print",
    "print",
    "print",
    "print",
    "end",
    "break",
    "tails down",
    "reads down",
    "up",
    "gone",
    "seen"
  ]),
  job: Schema.Literals([1, 2, 3]),
  stream: Schema.Literals(["stdout", "stderr"]),
  replica: Schema.Literals(["x", "x", "x", "y"]),
  late: Schema.Literals([0, 0, 0, 0, 700, 6_000, 29_000]),
  lines: Schema.Literals([1, 1, 2, 3, 40, 1_100]),
  // A frame of long lines does not fit before a gate.
  length: Schema.Literals([5, 5, 5, 2_000])
})

const World = {
  happenings: Schema.Array(Happening).pipe(Schema.check(Schema.isMaxLength(40))),
  latency: Schema.Literals([0, 60, 1_500]),
  opening: Schema.Literals([0, 300, 8_000]),
  workloads: Schema.Literals([1, 3]),
  /** How far the stamps are from the clock of the agent, in ms. */
  skew: Schema.Literals([0, -300_000, 200_000]),
  /** When the jobs are followed, in ms; they print from the start. */
  followed: Schema.Struct({
    1: Schema.Literals([0, 0, 2_000]),
    2: Schema.Literals([0, 900, 20_000]),
    3: Schema.Literals([0, 5_000, 45_000])
  })
}

interface Step {
  readonly at: number
  readonly run: Effect.Effect<void>
}

const streamKey = ({ job, replica, stream }: Print) => `${job} ${replica} ${stream}`

/** Lines of one stream arrive in their order, each some time after it was printed; streams overtake each other. */
const arrivals = (
  service: Service,
  happenings: ReadonlyArray<typeof Happening.Type>,
  workloadOf: (job: number) => string,
  skew: number
) => {
  const steps: Array<Step> = []
  const printed = new Map<string, Array<string>>()
  const arrivedAt = new Map<string, number>()
  let now = 0
  let count = 0
  for (const { job, late, length, lines, pause, replica, stream, what } of happenings) {
    now += pause
    if (what !== "print") continue
    const prints = Array.from({ length: lines }, (): Print => {
      const line = `${job} ${replica} ${stream} ${++count} ${"x".repeat(length)}`
      // Some are of one nanosecond; within a stream none is before another.
      return {
        job,
        line,
        at: now + skew,
        nanos: Math.trunc(count / 3),
        stream,
        replica,
        workload: workloadOf(job)
      }
    })
    const key = streamKey(prints[0]!)
    printed.set(key, [...(printed.get(key) ?? []), ...prints.map(({ line }) => line)])
    const at = Math.max(arrivedAt.get(key) ?? 0, now + late)
    arrivedAt.set(key, at)
    steps.push({ at, run: service.arrive(...prints) })
  }
  return { steps, printed, end: now + 30_000 }
}

describe("whatever comes late, ends or breaks", () => {
  it.effect.prop(
    "each line is printed once, and those of one stream in order",
    World,
    ({ followed, happenings, latency, opening, skew, workloads }) => {
      const service = makeService({ latency, opening })
      const workloadOf = (job: number) => `w${job % workloads}`
      return withRelay(service, (relay, all) =>
        Effect.gen(function* () {
          const { end, printed, steps } = arrivals(service, happenings, workloadOf, skew)
          const live = new Set([1, 2, 3].map(idOf))
          let at = 0
          for (const { job, pause, what } of happenings) {
            at += pause
            const run = {
              print: Effect.void,
              end: service.cut("end"),
              break: service.cut("break"),
              "tails down": Effect.sync(() => void (service.state.tailsDown = true)),
              "reads down": Effect.sync(() => void (service.state.down = true)),
              up: Effect.sync(() => void Object.assign(service.state, { down: false, tailsDown: false })),
              gone: Effect.sync(() => void live.delete(idOf(job))),
              seen: Effect.sync(() => void live.add(idOf(job)))
            }[what]
            steps.push({ at, run })
          }
          for (const job of [1, 2, 3] as const) {
            const follow = relay.follow(jobOf(job, { workload: workloadOf(job) }))
            steps.push({ at: followed[job], run: follow })
            // A job that was given up while it lives is followed again by whoever sees it.
            for (let time = 50_000; time <= end; time += 20_000) steps.push({ at: time, run: follow })
          }
          for (let time = 2_000; time <= end; time += 5_000) {
            steps.push({ at: time, run: Effect.suspend(() => relay.retain(new Set(live))) })
          }
          let now = 0
          for (const step of steps.toSorted((a, b) => a.at - b.at)) {
            if (step.at > now) yield* pass((step.at - now) / 1_000)
            now = Math.max(now, step.at)
            yield* step.run
          }
          Object.assign(service.state, { down: false, tailsDown: false })
          for (const job of [1, 2, 3]) yield* relay.follow(jobOf(job, { workload: workloadOf(job) }))
          yield* pass(65)
          for (let n = 0; n < 14; n++) {
            yield* relay.retain(new Set())
            yield* pass(5)
          }
          for (const [key, lines] of printed) {
            const found = linesOf(all, Number(key[0])).filter((line) => line.startsWith(`${key} `))
            expect(found).toEqual(lines)
          }
          expect(all.lines.length).toBe([...printed.values()].flat().length)
          expect(service.tails()).toBe(0)
          expect(all.said.filter((each) => each.startsWith("Error"))).toEqual([])
        })
      )
    },
    { arbitrary: { runs: 200 }, timeout: 180_000 }
  )
})
