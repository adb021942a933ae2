/**
 * `agent explain` with the compiled binary: what it tells of a live run and of one that is over, with the agent and
 * without; and that an exported record holds no secret and is decided again as it was.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { Effect } from "effect"
import { access, agentCommand, online, startAgent } from "../../scripts/local/agent.ts"
import { deploy, flowFolder } from "../../scripts/local/deployments.ts"
import { root } from "../../scripts/local/paths.ts"
import { isFinal } from "../../scripts/local/prefect-server.ts"
import { ProcessFailed, run } from "../../scripts/local/process.ts"
import type { World } from "../../scripts/local/world.ts"
import type { FlightRecord } from "../../src/runs/flight/record.ts"
import { Broken, type Suite, must } from "./suite.ts"

/** What must never be in a record: a variable of the job, a parameter, the token of the status server. */
const secrets = {
  variable: "hunter2-of-the-job",
  parameter: "hunter2-of-the-flow",
  token: "hunter2-of-listen"
}

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

export const explainTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const { prefect, cpln, place, folder, agent } = world
  const home = join(folder, "explain")
  const listen = `127.0.0.1:${yield* freePort}`
  const nowhere = `127.0.0.1:${yield* freePort}`
  const env = {
    ...access(prefect, cpln),
    PREFECT_AGENT_LISTEN: listen,
    PREFECT_AGENT_LISTEN_TOKEN: secrets.token
  }
  let count = 0
  const command = (args: ReadonlyArray<string>, given: Readonly<Record<string, string>> = env) =>
    agentCommand({ agent, args, home: join(home, `command-${++count}`), env: given })
  const explained = (...args: ReadonlyArray<string>) => command(["explain", ...args])
  const refused = <E>(work: Effect.Effect<string, E>) =>
    work.pipe(
      Effect.flip,
      Effect.flatMap((error) =>
        error instanceof ProcessFailed && error.code === 1
          ? Effect.succeed(error.output)
          : Effect.fail(new Broken({ text: String(error) }))
      )
    )
  const says = (text: string, ...parts: ReadonlyArray<RegExp>) =>
    Effect.forEach(parts, (part) => must(part.test(text), `not said: ${part}\n${text}`), { discard: true })
  const replayed = (file: string) =>
    run({
      name: "simulate --replay",
      command: process.execPath,
      args: [join(root, "test/simulation/main.ts"), "--replay", file],
      env: process.env as Record<string, string>,
      logFile: join(home, "replay.log")
    })

  const places = ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
  yield* command(["pool", "create", "explained", ...places])
  const source = flowFolder(folder)
  const ids = yield* deploy(prefect, [
    {
      name: "explained",
      pool: "explained",
      source,
      entrypoint: "flows.py:completes",
      parameters: { name: secrets.parameter, seconds: 4 },
      job_variables: { env: { DB_PASSWORD: secrets.variable } }
    },
    { name: "explained-lost", pool: "explained", source, entrypoint: "flows.py:vanishes" }
  ])
  const [first = "", lost = ""] = yield* Effect.forEach(["explained", "explained-lost"], (name) =>
    Effect.map(prefect.run(ids[name] ?? ""), ({ id }) => id)
  )
  const file = join(folder, "flight.json")
  const lostFile = join(folder, "lost.json")

  yield* Effect.scoped(
    Effect.gen(function* () {
      const running = yield* startAgent({ agent, args: ["--pool", "explained"], home, env })
      yield* online(running, prefect, "explained")

      yield* suite.test(
        "explain: of a live run its states, its job, what was decided and what is waited for",
        Effect.gen(function* () {
          yield* prefect.waitFor(first, (each) => each.state_type === "RUNNING" || isFinal(each), 90)
          // A cycle of the watch sees it.
          yield* Effect.sleep("6 seconds")
          const text = yield* explained(first)
          yield* says(
            text,
            new RegExp(`^Flow run .*\\(${first}\\), flow completes, work pool explained$`, "mu"),
            /Pending {9}claimed by cpln-\S+, try 1, for demo:flows:p\S+$/mu,
            /^ {2}\S+ \S+ {2}Running$/mu,
            /^Jobs\n {2}\S+ \S+ {2}[0-9a-f-]{36}, (?:running|completed).*, attempt 1, in demo:flows:p/mu,
            /^Decided by cpln-/mu,
            / → wait: the job (?:runs|is starting)$/mu,
            /^Now\n/mu
          )
        })
      )

      yield* suite.test(
        "explain --export: holds no parameter, variable or token, and is decided again as it was",
        Effect.gen(function* () {
          yield* prefect.waitFor(first, isFinal, 90)
          yield* prefect.waitFor(lost, isFinal, 120)
          yield* explained(first, "--export", file)
          const written = yield* explained(lost, "--export", lostFile)
          yield* says(written, /^Wrote \S+lost\.json: \d+ entries/mu)
          for (const path of [file, lostFile]) {
            const text = readFileSync(path, "utf8")
            const leaked = [...Object.values(secrets), cpln.token, "hunter2"].filter((each) =>
              text.includes(each)
            )
            yield* must(leaked.length === 0, `${path} holds ${leaked.join(", ")}`)
            yield* says(yield* replayed(path), /^\d+ entries, all decided as recorded$/mu)
          }
          const record = JSON.parse(readFileSync(lostFile, "utf8")) as FlightRecord
          const end = record.entries.find(({ decision }) => decision._tag === "Propose")
          yield* must(end?.decision.state === "CRASHED", JSON.stringify(record.entries.at(-1)))
          const onStdout = yield* explained(lost, "--export", "-")
          yield* must((JSON.parse(onStdout) as FlightRecord).runId === lost, onStdout)
        }),
        "4 minutes"
      )

      yield* suite.test(
        "explain --export: a record that says otherwise than the code is told, entry by entry",
        Effect.gen(function* () {
          const changed = join(folder, "changed.json")
          writeFileSync(
            changed,
            readFileSync(lostFile, "utf8").replace('"state": "CRASHED"', '"state": "COMPLETED"')
          )
          const output = yield* refused(replayed(changed))
          yield* says(output, /recorded Propose COMPLETED/u, /now {6}Propose CRASHED/u, /1 of \d+ entries/u)
          writeFileSync(changed, readFileSync(lostFile, "utf8").replace('"version": 1', '"version": 2'))
          yield* says(yield* refused(replayed(changed)), /has version 2, and this program reads 1/u)
        })
      )

      yield* suite.test(
        "explain: the agent tells nobody without its token, and nothing of runs that it does not know",
        Effect.gen(function* () {
          const wrong = { ...env, PREFECT_AGENT_LISTEN_TOKEN: "another" }
          yield* says(yield* refused(command(["explain", first], wrong)), /does not tell/u, /LISTEN_TOKEN/u)
          const unknown = "0f3b6a52-8c1d-4f7e-9a63-2b7d5e1c4a90"
          yield* says(yield* refused(explained(unknown)), new RegExp(`There is no flow run ${unknown}`, "u"))
          yield* says(yield* refused(explained("nonsense")), /"nonsense" is no flow run's id/u)
        })
      )
    })
  )

  yield* suite.test(
    "explain: without an agent it looks at both services itself",
    Effect.gen(function* () {
      const given = { ...env, PREFECT_AGENT_LISTEN: nowhere }
      const over = yield* command(["explain", `${prefect.ui}/runs/flow-run/${lost}`], given)
      yield* says(
        over,
        /no agent answers at http:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED\): what follows is read/u,
        / {2}Crashed {9}The job failed/u,
        /, failed at \S+, exit 137, attempt 1, in demo:flows/u,
        /It is over \(Crashed\), and no job of it lives: nothing is left to do\.$/mu
      )
      const { id } = yield* prefect.run(ids["explained"] ?? "")
      yield* says(yield* command(["explain", id], given), /Now\n {2}It (?:is|was) due /u)
      const alone = join(folder, "alone.json")
      yield* command(["explain", lost, "--export", alone], given)
      yield* says(yield* replayed(alone), /^1 entries, all decided as recorded$/mu)
      const noServer = { ...given, PREFECT_API_URL: `http://${nowhere}/api` }
      yield* says(yield* refused(command(["explain", lost], noServer)), /cannot be used/u, /PREFECT_API_URL/u)
    })
  )
})
