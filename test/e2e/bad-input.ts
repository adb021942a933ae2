/**
 * Bad input: each case is a clear error. At start it ends the agent with exit code 1; on a run it is the text of its end
 * and a line of its log. No stack trace, ever.
 */
import { createServer } from "node:http"
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import { access, agentCommand, online, startAgent } from "../../scripts/local/agent.ts"
import { deploy, flowFolder } from "../../scripts/local/deployments.ts"
import { isFinal, prefectServer } from "../../scripts/local/prefect-server.ts"
import { ProcessFailed } from "../../scripts/local/process.ts"
import { readRecord } from "../../scripts/local/run-record.ts"
import type { World } from "../../scripts/local/world.ts"
import { Broken, type Suite, must } from "./suite.ts"

/** A gateway that refuses every credential, as one in front of a 2.20 server would. */
const refusingGateway = Effect.acquireRelease(
  Effect.callback<{ readonly api: string; readonly close: () => void }>((resume) => {
    const server = createServer((_, response) => {
      response
        .writeHead(401, { "content-type": "application/json" })
        .end('{"exception_message":"Unauthorized"}')
    })
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      const close = () => {
        server.closeAllConnections()
        server.close()
      }
      resume(Effect.succeed({ api: `http://127.0.0.1:${port}/api`, close }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

const stackTrace = /^\s+at .+[:(].*\d/m

interface AtStart {
  readonly name: string
  readonly args?: ReadonlyArray<string>
  /** Over the working environment; an empty text removes a variable. */
  readonly env?: Readonly<Record<string, string>>
  /** What the message must name, so that a person knows what to change. */
  readonly says: ReadonlyArray<RegExp>
}

const startTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const { prefect, cpln, place, folder, agent } = world
  const good = {
    ...access(prefect, cpln),
    CPLN_ORG: place.org,
    CPLN_GVC: place.gvc,
    CPLN_LOCATION: place.location
  }
  const gateway = yield* refusingGateway
  yield* prefect.createPool("of-processes", "process")
  yield* agentCommand({ agent, args: ["pool", "create", "starts"], home: join(folder, "starts"), env: good })

  const cases: ReadonlyArray<AtStart> = [
    { name: "no PREFECT_API_URL", env: { PREFECT_API_URL: "" }, says: [/PREFECT_API_URL/] },
    {
      name: "a PREFECT_API_URL that is no URL",
      env: { PREFECT_API_URL: "prefect:4200" },
      // The value is not repeated: an address may hold a password.
      says: [/PREFECT_API_URL/, /http/]
    },
    {
      name: "a PREFECT_API_URL without /api",
      env: { PREFECT_API_URL: prefect.api.replace(/\/api$/, "") },
      says: [/PREFECT_API_URL/, /\/api/]
    },
    {
      name: "an address where no Prefect server answers as one",
      env: { PREFECT_API_URL: cpln.url },
      says: [/PREFECT_API_URL/]
    },
    {
      name: "an address where nothing answers",
      env: { PREFECT_API_URL: "http://127.0.0.1:9/api" },
      says: [/PREFECT_API_URL/, /127\.0\.0\.1:9/]
    },
    {
      name: "credentials that Prefect refuses",
      env: { PREFECT_API_URL: gateway.api, PREFECT_API_KEY: "wrong-key" },
      says: [/PREFECT_API_KEY/, /401|refuse|unauthori[sz]ed/i]
    },
    {
      name: "a token that Control Plane refuses",
      env: { CPLN_TOKEN: "wrong-token" },
      says: [/CPLN_TOKEN/, /401|403|refuse|unauthori[sz]ed/i]
    },
    {
      name: "an unknown work pool",
      args: ["--pool", "nowhere"],
      says: [/nowhere/, /pool create|--create-pool-if-not-found/]
    },
    {
      name: "a work pool of another type",
      args: ["--pool", "of-processes"],
      says: [/of-processes/, /process/, /cpln/]
    },
    {
      name: "a wrong number",
      args: ["--pool", "starts", "--interval", "soon"],
      says: [/--interval/, /soon/]
    },
    {
      name: "a wrong number in the environment",
      env: { PREFECT_AGENT_SETTLE: "later" },
      says: [/PREFECT_AGENT_SETTLE/, /later/]
    },
    { name: "an unknown flag", args: ["--pool", "starts", "--intervall", "60"], says: [/intervall/] }
  ]

  yield* Effect.forEach(
    // What is refused at start does not depend on the server's line: once is enough.
    prefect.venv.line === "3" ? cases : [],
    ({ name, args = ["--pool", "starts"], env = {}, says }, index) =>
      suite.test(
        `${name}: exit code 1 at start, and a message that names it`,
        Effect.gen(function* () {
          const all: Record<string, string> = { ...good, ...env }
          const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ""))
          const failure = yield* agentCommand({
            agent,
            args,
            home: join(folder, `start-${index}`),
            env: given
          }).pipe(
            Effect.flip,
            Effect.timeoutOrElse({
              duration: "100 seconds",
              orElse: () => Effect.fail(new Broken({ text: "the agent did not end within 100 s" }))
            })
          )
          if (!(failure instanceof ProcessFailed)) return yield* new Broken({ text: String(failure) })
          const { code, output } = failure
          yield* must(code === 1, `exit code ${code}:\n${output}`)
          yield* must(
            says.every((pattern) => pattern.test(output)),
            `the message lacks ${says.filter((pattern) => !pattern.test(output)).join(" and ")}:\n${output}`
          )
          yield* must(!stackTrace.test(output), `a stack trace:\n${output}`)
        })
      ),
    { concurrency: 2 }
  )

  yield* suite.test(
    "an unknown queue is created, and the agent serves it",
    Effect.gen(function* () {
      const running = yield* startAgent({
        agent,
        args: ["--pool", "starts", "--work-queue", "urgent"],
        home: join(folder, "queues"),
        env: good
      })
      yield* online(running, prefect, "starts")
      const queues = (yield* prefect.queues("starts")).map(({ name }) => name)
      yield* must(queues.includes("urgent"), `queues: ${queues.join(", ")}`)
    })
  )

  if (prefect.venv.line === "3") {
    yield* suite.test(
      "an auth string that the server itself refuses: exit code 1 at start, and a message that names it",
      Effect.gen(function* () {
        const secured = yield* prefectServer(prefect.venv, join(folder, "secured"), {
          PREFECT_SERVER_API_AUTH_STRING: "admin:right"
        })
        const failure = yield* agentCommand({
          agent,
          args: ["--pool", "starts"],
          home: join(folder, "auth"),
          env: { ...good, PREFECT_API_URL: secured.api, PREFECT_API_AUTH_STRING: "admin:wrong" }
        }).pipe(Effect.flip, Effect.timeout("30 seconds"))
        if (!(failure instanceof ProcessFailed)) return yield* new Broken({ text: String(failure) })
        yield* must(failure.code === 1, `exit code ${failure.code}`)
        yield* must(/PREFECT_API_AUTH_STRING/.test(failure.output), failure.output)
        yield* must(!failure.output.includes("admin:wrong"), "the message shows the credential")
      })
    )
  }
})

interface OnRun {
  readonly name: string
  /** Job variables of the deployment. */
  readonly variables: Readonly<Record<string, unknown>>
  readonly says: ReadonlyArray<RegExp>
}

const runCases: ReadonlyArray<OnRun> = [
  {
    name: "an unknown block",
    variables: { env: { SECRET: "{{ prefect.blocks.secret.no-such-block }}" } },
    says: [/no-such-block/]
  },
  { name: "an unknown location", variables: { location: "nowhere-1" }, says: [/nowhere-1/] },
  { name: "an unknown GVC", variables: { namespace: "no-such-gvc" }, says: [/no-such-gvc/] }
]

const runTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const { prefect, cpln, place, folder, agent } = world
  const env = access(prefect, cpln)
  const places = ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
  yield* agentCommand({
    agent,
    args: ["pool", "create", "refusals", ...places],
    home: join(folder, "refusals"),
    env
  })

  // How blocks are read depends on the server's line; what a place or a name is does not.
  const isNewer = prefect.venv.line === "3"
  const cases = isNewer ? runCases : runCases.slice(0, 1)

  // A template that the server takes but that describes no job: its manifest is a text.
  const { base_job_template: template } = yield* prefect.pool("refusals")
  const malformed = {
    ...template,
    job_configuration: { ...(template["job_configuration"] as object), job_manifest: "{{ image }}" }
  }
  yield* prefect.createPool("malformed", "cpln", malformed)

  const running = yield* startAgent({
    agent,
    args: ["--pool", "refusals"],
    home: join(folder, "refusals"),
    env
  })
  yield* online(running, prefect, "refusals")
  const source = flowFolder(folder)
  const entrypoint = "flows.py:completes"
  const nameless = "a name that slugs to nothing"
  const ids = yield* deploy(prefect, [
    ...cases.map(({ name, variables }) => ({
      name,
      pool: "refusals",
      source,
      entrypoint,
      job_variables: variables
    })),
    {
      name: nameless,
      pool: "refusals",
      source,
      entrypoint,
      job_variables: { name: "!!!" },
      parameters: { seconds: 0 }
    }
  ])

  yield* Effect.forEach(
    cases,
    ({ name, says }) =>
      suite.test(
        `${name}: the run ends CRASHED with a text that names it, also in its log, and no job is started`,
        Effect.gen(function* () {
          const { id } = yield* prefect.run(ids[name] ?? "")
          yield* prefect.waitFor(id, isFinal, 90)
          // The log's line is written after the end.
          const { run, logs, commands } = yield* readRecord(prefect, cpln, place, id).pipe(
            Effect.repeat({ until: (seen) => seen.logs.length > 0, schedule: Schedule.spaced("300 millis") }),
            Effect.timeoutOrElse({
              duration: "20 seconds",
              orElse: () => readRecord(prefect, cpln, place, id)
            })
          )
          const text = run.state.message ?? ""
          yield* must(run.state_type === "CRASHED", `the run is ${run.state_name}: ${text}`)
          yield* must(
            says.every((pattern) => pattern.test(text)),
            `the message: ${text}`
          )
          yield* must(!stackTrace.test(text), `a stack trace: ${text}`)
          const log = logs.map(({ message }) => message).join("\n")
          yield* must(
            says.every((pattern) => pattern.test(log)),
            `the run's log: ${log || "empty"}`
          )
          yield* must(commands.length === 0, "a job was started")
        })
      ),
    { concurrency: "unbounded" }
  )

  if (!isNewer) return

  yield* suite.test(
    `${nameless}: the run completes, or ends CRASHED with a text that names it`,
    Effect.gen(function* () {
      const { id } = yield* prefect.run(ids[nameless] ?? "", { name: "!!!" })
      const run = yield* prefect.waitFor(id, isFinal, 90)
      const text = run.state.message ?? ""
      yield* must(
        run.state_type === "COMPLETED" || (run.state_type === "CRASHED" && text.includes("!!!")),
        `the run is ${run.state_name}: ${text}`
      )
    })
  )

  yield* suite.test(
    "a malformed template: exit code 1 at start or CRASHED on the run, with a text that names the manifest",
    Effect.gen(function* () {
      const other = yield* startAgent({
        agent,
        args: ["--pool", "malformed"],
        home: join(folder, "malformed"),
        env
      })
      const early = yield* Effect.raceFirst(
        other.ended,
        online(other, prefect, "malformed").pipe(
          Effect.andThen(Effect.never),
          Effect.ignore,
          Effect.andThen(other.ended)
        )
      ).pipe(Effect.timeoutOption("5 seconds"))
      if (early._tag === "Some") {
        yield* must(early.value.code === 1, `exit code ${early.value.code}`)
        yield* must(/job_manifest/.test(other.output()), other.output())
        return
      }
      const made = yield* deploy(prefect, [{ name: "malformed", pool: "malformed", source, entrypoint }])
      const { id } = yield* prefect.run(made["malformed"] ?? "")
      const run = yield* prefect.waitFor(id, isFinal, 60)
      yield* must(
        run.state_type === "CRASHED" && /manifest/.test(run.state.message ?? ""),
        `the run is ${run.state_name}: ${run.state.message}`
      )
    })
  )
})

export const badInputTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  // One of the starts waits for a server for a minute; nothing else has to.
  yield* Effect.all([Effect.scoped(startTests(suite, world)), Effect.scoped(runTests(suite, world))], {
    concurrency: "unbounded"
  })
})
