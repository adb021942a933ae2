/**
 * The end-to-end tests: a real Prefect server, the emulator, the compiled agent.
 *
 *   bun test/e2e/main.ts [--prefect 2|3] [--python PATH] [--only PART OF A TEST'S NAME]
 *
 * Invariant: what a test concludes it reads from the two services' own records, and from what the agent printed where the
 * promise is about that; never from the agent's own beliefs.
 */
import { Effect } from "effect"
import { type Line, prefectVenv, versions } from "../../scripts/local/prefect-venv.ts"
import { options, runScript } from "../../scripts/local/script.ts"
import { world } from "../../scripts/local/world.ts"
import { agentPoolTests } from "./agent-pool.ts"
import { badInputTests } from "./bad-input.ts"
import { blocksTests } from "./blocks.ts"
import { cleanupTests } from "./cleanup.ts"
import { cplnJobTests } from "./cpln-job.ts"
import { endingTests } from "./endings.ts"
import { explainTests } from "./explain.ts"
import { planTests } from "./plan.ts"
import { runtimeTests } from "./runtimes.ts"
import { secretTests } from "./secrets.ts"
import { signalTests } from "./signals.ts"
import { makeSuite, must } from "./suite.ts"
import { twoAgentTests } from "./two-agents.ts"

const main = Effect.fnUntraced(function* () {
  const { prefect: line = "3", python = "python3", only } = options(["prefect", "python", "only"], [])
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
      // How the program is run does not depend on the server's line: once is enough.
      const groups = [
        endingTests,
        signalTests,
        badInputTests,
        twoAgentTests,
        blocksTests,
        cplnJobTests,
        planTests,
        cleanupTests,
        explainTests,
        secretTests,
        // Deployments of 3.x bring no infrastructure of their own.
        ...(line === "2" ? [agentPoolTests] : []),
        ...(line === "3" ? [runtimeTests] : [])
      ]
      for (const tests of groups) {
        // What a group of tests needs may fail to start; that is a failed test, not the end of the others.
        const exit = yield* Effect.exit(Effect.scoped(tests(suite, here)))
        if (exit._tag === "Failure")
          yield* suite.test("the ground of a group of tests", Effect.failCause(exit.cause))
      }
    })
  )
  yield* suite.test(
    "services, agents and jobs leave no process behind",
    must(left === 0, `${left} processes were left over`)
  )
  return suite.close()
})

runScript(main())
