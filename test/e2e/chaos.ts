/**
 * The second layer of proof: the compiled agent with a real Prefect server and the emulator, while agents are killed and
 * paused, servers restarted and requests broken; judged from the two services' own records.
 *
 *   bun test/e2e/chaos.ts [--prefect 2|3] [--python PATH] [--long] [--only PART OF A NAME] [--seed TEXT]
 *
 * The short form is one scenario in which all of it happens at once. A seed repeats the choices; what comes of them depends
 * on the machine too.
 */
import { join } from "node:path"
import { Effect, Random } from "effect"
import { agentBinary, temporaryFolder } from "../../scripts/local/paths.ts"
import { type Line, prefectVenv, versions } from "../../scripts/local/prefect-venv.ts"
import { endLeftovers } from "../../scripts/local/process.ts"
import { options, runScript } from "../../scripts/local/script.ts"
import { breakages } from "./chaos/fault-proxy.ts"
import type { Act } from "./chaos/fleet.ts"
import { play, type Scenario } from "./chaos/scenario.ts"
import { makeSuite, must } from "./suite.ts"

const api = { path: "/org/**" }
/** Of jobs that an agent started, not of others' in the same workload. */
const ours = { tag: "prefect.io/attempt" }

const answers = [
  { what: "server-error", when: "before", probability: 0.03, where: api },
  { what: "server-error", when: "after", probability: 0.03, where: api },
  { what: "dropped", when: "before", probability: 0.02, where: api },
  { what: "dropped", when: "after", probability: 0.02, where: api },
  { what: "rate-limited", retryAfter: 1, probability: 0.02, where: api },
  { what: "rate-limited", probability: 0.02, where: api },
  { what: "truncated", probability: 0.01, where: api },
  { what: "garbled", probability: 0.01, where: api },
  { what: "stale-read", seconds: 2, probability: 0.05, where: api },
  { what: "latency", seconds: 0.1, jitter: 0.4, probability: 0.2, where: api }
]
// No fault "vanished": what is absent from a small pool is braked for a quarter of an hour, as it should be.
const ends = [
  { what: "oom", seconds: 1, probability: 0.03, where: ours },
  // A pod ends once: the first few, which surely run out of memory, cannot be evicted too.
  { what: "eviction", seconds: 1, probability: 0.03, where: ours, skip: 3 },
  { what: "corrected", seconds: 2, probability: 0.2, where: ours },
  { what: "start-delay", seconds: 1, jitter: 4, probability: 0.2, where: ours },
  { what: "deaf", probability: 0.2, where: ours }
]

const everything: ReadonlyArray<Act> = [
  "kill -9",
  "kill -9",
  "a short pause",
  "a pause beyond the launch deadline",
  "SIGTERM and the next one"
]
const calm: Scenario = {
  name: "calm",
  seconds: 60,
  doubles: 200,
  real: 10,
  replicas: 2,
  hand: [],
  restarts: [],
  prefect: undefined,
  controlPlane: [],
  cancels: 0.2
}

const all = (line: Line): Scenario => ({
  ...calm,
  name: `everything at once, ${line === "3" ? "three" : "two"} replicas`,
  seconds: 45,
  doubles: 100,
  replicas: line === "3" ? 3 : 2,
  hand: everything,
  restarts: ["Prefect", "Control Plane"],
  prefect: { share: 0.05, ways: breakages },
  controlPlane: [...answers, ...ends]
})

const long = (line: Line): ReadonlyArray<Scenario> => [
  {
    ...calm,
    name: "agents killed and restarted",
    replicas: 3,
    hand: Array.from({ length: 8 }, () => "kill -9")
  },
  {
    ...calm,
    name: "agents paused beyond the launch deadline",
    hand: ["a pause beyond the launch deadline", "a short pause", "a pause beyond the launch deadline"]
  },
  {
    ...calm,
    name: "rolling restarts",
    replicas: 3,
    hand: Array.from({ length: 5 }, () => "SIGTERM and the next one")
  },
  { ...calm, name: "servers restarted", restarts: ["Prefect", "Control Plane", "Prefect", "Control Plane"] },
  { ...calm, name: "a bad Prefect server", prefect: { share: 0.15, ways: breakages } },
  { ...calm, name: "a bad Control Plane", controlPlane: [...answers, ...answers, ...ends] },
  { ...calm, name: "cancels everywhere", cancels: 0.8 },
  {
    ...all(line),
    name: "everything at once, for long",
    seconds: 180,
    doubles: 400,
    hand: [...everything, ...everything]
  }
]

const main = Effect.fnUntraced(function* () {
  const given = options(["prefect", "python", "only", "seed"], ["long"])
  const line = (given.prefect ?? "3") as Line
  const version = versions[line]
  if (version === undefined) {
    console.error(`--prefect is 2 or 3, not '${line}'`)
    return 1
  }
  const say = (text: string) => console.log(`  ${text}`)
  const venv = yield* prefectVenv(line, given.python ?? "python3", say)
  const suite = makeSuite(`chaos, Prefect ${version}`, given.only)
  for (const scenario of given.long === true ? long(line) : [all(line)]) {
    const seed = given.seed ?? crypto.randomUUID().slice(0, 8)
    let left = 0
    yield* suite.test(
      `${scenario.name}: every promise holds, by both services' records`,
      Effect.gen(function* () {
        say(`${scenario.name}: seed ${seed}`)
        const folder = yield* temporaryFolder("prefect-cpln-chaos-")
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            left = endLeftovers(folder)
          })
        )
        yield* play(scenario, { venv, folder: join(folder, "w"), agent: [agentBinary], say }, seed).pipe(
          Random.withSeed(seed)
        )
      }),
      "12 minutes"
    )
    yield* suite.test(
      `${scenario.name}: no process is left`,
      must(left === 0, `${left} processes were left over`)
    )
  }
  return suite.close()
})

runScript(main())
