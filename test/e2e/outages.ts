/**
 * Services that are away or refuse: nothing is lost, nothing is asked in a hot loop, and all is well again within one
 * monitor interval. The jobs are virtual, and test/engine plays the flow engine for them.
 */
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import { isFinal } from "../../scripts/local/prefect-server.ts"
import type { World } from "../../scripts/local/world.ts"
import { refused } from "./chaos/fault-proxy.ts"
import { ground, interval } from "./outages/ground.ts"
import { lateRuns } from "./outages/late.ts"
import { storm } from "./outages/storm.ts"
import { keeps, must, type Suite } from "./suite.ts"

const groundIn = (world: World, name: string, more: object = {}) =>
  ground({ venv: world.prefect.venv, folder: join(world.folder, name), agent: world.agent, ...more })

/** As many launches as the agent makes at once, and as many requests as it has under way with each service. */
const atOnce = 32
/** The end of an answer may be noticed after the beginning of the next request. */
const blur = 4

export const lateTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const runs = 60
  yield* suite.test(
    `Prefect is away while ${runs} runs become due: each is started once, a few at a time, and how many wait is said`,
    Effect.gen(function* () {
      const here = yield* groundIn(world, "late")
      const seen = yield* lateRuns(here, { runs, away: 12, cancels: 2 })
      const said = seen.lines.find((line) => line.includes("for a start, the oldest for"))
      const count = Number(/(\d+) due runs wait/u.exec(said ?? "")?.[1])
      console.log(
        `          away for ${seen.away.toFixed(0)} s and asked ${seen.askedWhileAway} times, ${seen.askedInSecondHalf} in the second half; then ${said?.split("> ")[1]}; started after ${seen.firstStart.toFixed(1)} to ${seen.lastStart.toFixed(1)} s, ${seen.claimsAtOnce} at once; ${(seen.prefectRequests / runs).toFixed(1)} and ${(seen.controlPlaneRequests / runs).toFixed(1)} requests a run`
      )
      yield* keeps([
        {
          promise: "requests while it is away are few, and get fewer",
          holds:
            seen.askedWhileAway < 60 + 3 * seen.away && seen.askedInSecondHalf < 0.45 * seen.askedWhileAway,
          seen: `${seen.askedWhileAway} in ${seen.away.toFixed(0)} s, ${seen.askedInSecondHalf} in the second half`
        },
        {
          promise: "the first late run is started within one interval",
          holds: seen.firstStart < interval,
          seen: `${seen.firstStart} s`
        },
        {
          promise: "launches and requests are within their bounds",
          holds: Math.max(seen.claimsAtOnce, seen.prefectAtOnce, seen.controlPlaneAtOnce) <= atOnce + blur,
          seen: `${seen.claimsAtOnce} claims, ${seen.prefectAtOnce} and ${seen.controlPlaneAtOnce} requests at once`
        },
        { promise: "all that wait are counted", holds: count >= 0.9 * runs, seen: String(said) }
      ])
    })
  )
})

const bounded =
  (seconds: number) =>
  ({ requests }: { readonly requests: number }) =>
    must(requests < 60 + 12 * seconds, `${requests} requests in ${seconds} s`)

export const stormTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const here = yield* groundIn(world, "storms")
  const ways = [...refused, "reset before"] as const
  const seconds = 10
  for (const service of ["Control Plane", "Prefect"] as const) {
    const forms = ways.filter((way) => service === "Control Plane" || way !== "429 quota")
    yield* suite.test(
      `${service} answers everything with 429 and 5xx of every form: no run is lost or CRASHED for that, and all is well within one interval`,
      Effect.flatMap(storm(here, { service, ways: forms, seconds }), bounded(seconds))
    )
  }
})

/** Few, because there are few starts in a storm. */
const ofStarts = ["429 quota", "503 before", "429", "500"] as const
const starts = (method: string, path: string) => method === "POST" && path.endsWith("/-command")

export const refusedStartTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const seconds = 12
  // So short that a start which counted as lost would be so three times in the storm, and its run CRASHED.
  const flags = ["--launch-deadline", "2", "--doubt-horizon", "1"]
  yield* suite.test(
    "Control Plane takes no start, by a quota, 429 and 5xx: no run is CRASHED for that, and each is started once afterwards",
    Effect.gen(function* () {
      const here = yield* groundIn(world, "starts", { flags })
      yield* Effect.flatMap(
        storm(here, { service: "Control Plane", ways: ofStarts, seconds, which: starts }),
        bounded(seconds)
      )
    })
  )
})

/** Seconds. */
const lease = 30
const pull = 45

export const leaseTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  yield* suite.test(
    "a run whose image takes longer to pull than its concurrency lease lives keeps the one slot",
    Effect.gen(function* () {
      const here = yield* groundIn(world, "leases", {
        serverEnv: {
          PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION: String(lease),
          PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS: "2",
          PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS: "3"
        }
      })
      const { deployment, prefect } = here
      yield* prefect.patch(`/deployments/${deployment}`, { concurrency_limit: 1 })
      yield* here.faults([{ what: "image-pull", seconds: pull, times: 1 }])
      const first = yield* here.run({ seconds: 1 })
      const pending = yield* prefect.waitFor(first, ({ state_type: type }) => type === "PENDING", 20)
      yield* must(pending.state_type === "PENDING", `the first run is ${pending.state_name}`)
      const second = yield* here.run({ seconds: 1 })

      const slots = prefect.get<{ readonly active_slots: number }>(
        `/v2/concurrency_limits/deployment:${deployment}`
      )
      const seen: Array<string> = []
      yield* Effect.gen(function* () {
        const { active_slots: taken } = yield* slots
        const [one, two] = [yield* prefect.flowRun(first), yield* prefect.flowRun(second)]
        if (one.state_type === "PENDING") seen.push(`${taken} ${two.state_type}`)
        return one.state_type
      }).pipe(
        Effect.repeat({ until: (type) => type !== "PENDING", schedule: Schedule.spaced("1 seconds") }),
        Effect.timeout(`${pull + 40} seconds`)
      )
      const { start_time: begun } = yield* prefect.flowRun(first)
      const held = (Date.parse(begun ?? "") - Date.parse(pending.state.timestamp)) / 1000
      yield* must(held > lease + 10, `the first run waited for ${held} s only`)
      yield* must(
        seen.every((each) => each === "1 SCHEDULED"),
        `slots taken, and the second run, while the first was PENDING: ${[...new Set(seen)].join(", ")}`
      )
      const ended = yield* prefect.waitFor(first, isFinal, 30)
      yield* must(ended.state_type === "COMPLETED", `the first run is ${ended.state_name}`)
      console.log(
        `          PENDING for ${held.toFixed(0)} s with a lease of ${lease} s, looked at ${seen.length} times`
      )
    })
  )
})
