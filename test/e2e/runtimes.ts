/**
 * The same program where it is not the plain binary on a plain machine: in a bare read-only root, and from its sources
 * under Deno and Node 24. One emulated run each, from the pool to the end, and a clean end on SIGTERM.
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { Effect } from "effect"
import { access, agentCommand, online, startAgent } from "../../scripts/local/agent.ts"
import { bareRoot, bareRootNeeds } from "../../scripts/local/bare-root.ts"
import { deploy, flowFolder } from "../../scripts/local/deployments.ts"
import { agentBinary, root } from "../../scripts/local/paths.ts"
import { isFinal } from "../../scripts/local/prefect-server.ts"
import { promises, readRecord, settled } from "../../scripts/local/run-record.ts"
import type { World } from "../../scripts/local/world.ts"
import { type Suite, keeps, must } from "./suite.ts"

interface Way {
  readonly name: string
  readonly pool: string
  readonly needs: string | undefined
  readonly start: (folder: string) => ReadonlyArray<string>
}

const installed = (name: string) => join(root, "node_modules", ".bin", name)
const answers = (name: string, version: RegExp) => {
  const { status, stdout } = spawnSync(installed(name), ["--version"], { encoding: "utf8" })
  return status === 0 && version.test(stdout)
}
const main = join(root, "src", "main.ts")

const ways: ReadonlyArray<Way> = [
  {
    name: "the binary as uid 65532 on a read-only root with five libraries and /proc",
    pool: "bare",
    needs: bareRootNeeds(),
    start: (folder) => bareRoot(agentBinary, join(folder, "root"))
  },
  {
    name: "the sources under Deno",
    pool: "deno",
    needs: answers("deno", /^deno 2\./) ? undefined : "Deno",
    start: () => [installed("deno"), "run", "-A", "--node-modules-dir=manual", main]
  },
  {
    name: "the sources under Node 24",
    pool: "node",
    needs: answers("node", /^v24\./) ? undefined : "Node 24",
    start: () => [installed("node"), main]
  }
]

export const runtimeTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const { prefect, cpln, place, folder } = world
  const env = {
    ...access(prefect, cpln),
    DENO_DIR: join(root, ".cache", "deno"),
    DENO_NO_UPDATE_CHECK: "1"
  }
  yield* Effect.forEach(ways, ({ name, pool, needs, start }) => {
    const title = `${name}: a run completes, and SIGTERM ends it with exit code 0`
    if (needs !== undefined) return suite.skip(title, needs)
    return suite.test(
      title,
      Effect.gen(function* () {
        const home = join(folder, `runtime-${pool}`)
        const agent = start(home)
        const places = ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
        yield* agentCommand({ agent, args: ["pool", "create", pool, ...places], home, env })
        const running = yield* startAgent({ agent, args: ["--pool", pool, "--interval", "5"], home, env })
        yield* online(running, prefect, pool)
        const ids = yield* deploy(prefect, [
          { name: pool, pool, source: flowFolder(folder), entrypoint: "flows.py:completes" }
        ])
        const { id } = yield* prefect.run(ids[pool] ?? "")
        yield* prefect.waitFor(id, isFinal, 90)
        const thePool = yield* prefect.pool(pool)
        const { checks } = yield* settled(readRecord(prefect, cpln, place, id), (seen) =>
          promises(
            seen,
            { state: "COMPLETED", stages: ["completed"], output: "printed by the flow process for world" },
            { place, pool: thePool, agentOutput: running.output() }
          )
        )
        yield* keeps(checks)
        yield* running.signal("SIGTERM")
        const { code } = yield* running.ended.pipe(Effect.timeout("20 seconds"))
        yield* must(code === 0, `exit code ${code}`)
      })
    )
  })
})
