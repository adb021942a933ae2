/**
 * The end-to-end tests: a real Prefect server, the emulator, the compiled agent.
 *
 *   bun test/e2e/main.ts [--prefect 2|3] [--python PATH] [--group NAME,…] [--only PART OF A TEST'S NAME]
 *
 * Invariant: what a test concludes it reads from the two services' own records, and from what the agent printed where the
 * promise is about that; never from the agent's own beliefs.
 */
import { Effect, type Scope } from "effect"
import { type Line, prefectVenv, versions } from "../../scripts/local/prefect-venv.ts"
import { options, runScript } from "../../scripts/local/script.ts"
import { type World, world } from "../../scripts/local/world.ts"
import { agentPoolTests } from "./agent-pool.ts"
import { badInputTests } from "./bad-input.ts"
import { blocksTests } from "./blocks.ts"
import { cleanupTests } from "./cleanup.ts"
import { cplnJobTests } from "./cpln-job.ts"
import { earlyCancelTests } from "./early-cancels.ts"
import { endingTests } from "./endings.ts"
import { explainTests } from "./explain.ts"
import { observeTests } from "./observe.ts"
import { lateTests, leaseTests, refusedStartTests, stormTests } from "./outages.ts"
import { planTests } from "./plan.ts"
import { runtimeTests } from "./runtimes.ts"
import { secretTests } from "./secrets.ts"
import { signalTests } from "./signals.ts"
import { makeSuite, must, type Suite } from "./suite.ts"
import { twoAgentTests } from "./two-agents.ts"

type Group = readonly [
  name: string,
  tests: (suite: Suite, world: World) => Effect.Effect<void, unknown, Scope.Scope>
]

/**
 * Groups mostly wait, so lanes run side by side; those of one lane follow each other, because they share something: block
 * types of the one server, or the policies of the one org. What does not depend on the server's line runs once.
 */
const lanesOf = (line: Line): ReadonlyArray<ReadonlyArray<Group>> => [
  [
    ["endings", endingTests],
    ["signals", signalTests],
    ...(line === "3"
      ? ([
          ["explain", explainTests],
          ["runtimes", runtimeTests]
        ] as const)
      : [])
  ],
  [
    ["bad input", badInputTests],
    ["two agents", twoAgentTests],
    ["observe", observeTests]
  ],
  // SQLite under 2.20 is where many late runs are hardest; how Control Plane refuses is the same for both.
  ...(line === "2"
    ? [[["late runs", lateTests]] as const]
    : [
        [["refused starts", refusedStartTests]] as const,
        [["early cancels", earlyCancelTests]] as const,
        [
          ["storms", stormTests],
          ["leases", leaseTests]
        ] as const
      ]),
  [
    ["blocks", blocksTests],
    ["jobs", cplnJobTests],
    ["plan", planTests],
    ["cleanup", cleanupTests],
    // Deployments of 3.x bring no infrastructure of their own.
    line === "2" ? ["agent pool", agentPoolTests] : ["secrets", secretTests]
  ]
]

const main = Effect.fnUntraced(function* () {
  const {
    prefect: line = "3",
    python = "python3",
    group,
    only
  } = options(["prefect", "python", "group", "only"], [])
  const version = versions[line as Line]
  if (version === undefined) {
    console.error(`--prefect is 2 or 3, not '${line}'`)
    return 1
  }
  const venv = yield* prefectVenv(line as Line, python, (text) => console.log(`  ${text}`))
  const suite = makeSuite(`e2e, Prefect ${version}`, only)
  let left = 0
  yield* Effect.scoped(
    Effect.gen(function* () {
      const here = yield* world({
        venv,
        say: (text) => console.log(`  ${text}`),
        onLeftovers: (count) => {
          left = count
        }
      })
      const wanted = group?.split(",")
      const runGroup = Effect.fnUntraced(function* ([name, tests]: Group) {
        if (wanted?.includes(name) === false) return
        const from = performance.now()
        // What a group of tests needs may fail to start; that is a failed test, not the end of the others.
        const exit = yield* Effect.exit(Effect.scoped(tests(suite, here)))
        if (exit._tag === "Failure")
          yield* suite.test(`the ground of the group ${name}`, Effect.failCause(exit.cause))
        console.log(`  ${name}: ${((performance.now() - from) / 1000).toFixed(0)} s`)
      })
      yield* Effect.forEach(
        lanesOf(line as Line),
        (lane) => Effect.forEach(lane, runGroup, { discard: true }),
        { concurrency: "unbounded", discard: true }
      )
    })
  )
  yield* suite.test(
    "services, agents and jobs leave no process behind",
    must(left === 0, `${left} processes were left over`)
  )
  return suite.close()
})

runScript(main())
