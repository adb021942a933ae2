/**
 * The demo behind `scripts/demo`: five flow runs through the compiled agent, told from the records of both services.
 *
 * Invariant: nothing is taken from the agent but the lines that it prints; the verdicts are those of the e2e tests.
 */
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import { access, agentCommand, injected, online, startAgent } from "./local/agent.ts"
import { type Deployment, deploy, flowFolder, flowRepository } from "./local/deployments.ts"
import { isFinal } from "./local/prefect-server.ts"
import { type Line, prefectVenv, versions } from "./local/prefect-venv.ts"
import {
  type Check,
  type Expected,
  type RunRecord,
  exitCode,
  promises,
  readRecord,
  settled
} from "./local/run-record.ts"
import { options, runScript } from "./local/script.ts"
import { between, table } from "./local/table.ts"
import { type World, place, world } from "./local/world.ts"

interface Scenario {
  readonly title: string
  readonly deployment: Omit<Deployment, "pool" | "source"> & { readonly from: "folder" | "git" }
  readonly cancel?: boolean
  readonly expected: Expected
}

const scenarios: ReadonlyArray<Scenario> = [
  {
    title: "completes, from a folder",
    deployment: {
      name: "folder",
      from: "folder",
      entrypoint: "flows.py:completes",
      parameters: { name: "the folder" }
    },
    expected: {
      state: "COMPLETED",
      stages: ["completed"],
      output: "printed by the flow process for the folder"
    }
  },
  {
    title: "completes, from git",
    deployment: {
      name: "git",
      from: "git",
      entrypoint: "flows.py:completes",
      parameters: { name: "the repository" }
    },
    expected: {
      state: "COMPLETED",
      stages: ["completed"],
      output: "printed by the flow process for the repository"
    }
  },
  {
    title: "fails",
    deployment: { name: "fails", from: "folder", entrypoint: "flows.py:fails" },
    expected: { state: "FAILED", stages: ["completed"], message: /the input file is empty/ }
  },
  {
    title: "dies unreported",
    deployment: { name: "vanishes", from: "folder", entrypoint: "flows.py:vanishes" },
    expected: {
      state: "CRASHED",
      stages: ["failed"],
      message: /137/,
      output: "last words of the flow process"
    }
  },
  {
    title: "is cancelled",
    deployment: { name: "cancelled", from: "folder", entrypoint: "flows.py:waits" },
    cancel: true,
    expected: { state: "CANCELLED", stages: ["completed"], output: "hook ran", unstopped: true }
  }
]

const started = performance.now()
const clock = () => `${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s`
const say = (text: string) => console.log(`${clock()}  ${text}`)

/** Follows one run to its end and tells every change of state as it happens. */
const follow = Effect.fnUntraced(function* ({ prefect }: World, scenario: Scenario, id: string) {
  let last = ""
  let cancelled = false
  yield* prefect.flowRun(id).pipe(
    Effect.tap((run) =>
      Effect.gen(function* () {
        if (run.state_name !== last) say(`${scenario.title.padEnd(24)}  ${run.state_name}`)
        last = run.state_name
        if (scenario.cancel === true && run.state_type === "RUNNING" && !cancelled) {
          cancelled = true
          // A moment for the flow to be in its own code, as a person's cancel would find it.
          yield* Effect.sleep("2 seconds")
          say(`${scenario.title.padEnd(24)}  (asking the server to cancel it)`)
          yield* prefect.cancel(id)
        }
      })
    ),
    Effect.repeat({ until: isFinal, schedule: Schedule.spaced("300 millis") }),
    Effect.timeoutOrElse({
      duration: "240 seconds",
      orElse: () => Effect.sync(() => say(`${scenario.title.padEnd(24)}  not over after 240 s`))
    })
  )
})

const report = (scenario: Scenario, record: RunRecord, checks: ReadonlyArray<Check>) => {
  const { run, states, commands, execution } = record
  const [first] = states
  const at = (state: { readonly timestamp: string }) =>
    state === first ? state.timestamp.slice(11, 21) : `+${between(first?.timestamp, state.timestamp)}`
  const rows: Array<readonly [string, string]> = [
    ["Prefect", `flow run ${run.name}, ${run.id}`],
    ["  states", states.map((state) => `${state.name} ${at(state)}`).join(" → ")],
    [
      "  end",
      `${run.state_name}${run.state.message === null ? "" : `: ${run.state.message.split("\n")[0]}`}`
    ],
    ["  PID", run.infrastructure_pid ?? "none"],
    ["  tags", run.tags.join(", ") || "none"]
  ]
  for (const { workload, command } of commands) {
    const asked = command.spec.containerOverrides?.[0]?.args?.join(" ")
    rows.push(
      ["Control Plane", `workload ${workload}`],
      ["  command", `${command.id} in ${command.spec.location}: ${command.lifecycleStage}`],
      ["  ran", `${asked ?? "the workload's own command"}, exit ${exitCode(record) ?? "–"}`],
      [
        "  times",
        `due → command ${between(run.expected_start_time, command.created)}, ` +
          `command → job ${between(command.created, execution?.startTime)}, ` +
          `job ran ${between(execution?.startTime, execution?.completionTime)}`
      ]
    )
  }
  if (commands.length === 0) rows.push(["Control Plane", "no command"])
  const failed = checks.filter(({ holds }) => !holds)
  console.log(`\n${scenario.title}: ${failed.length === 0 ? "as it should be" : "NOT as it should be"}`)
  for (const [name, value] of rows) console.log(`  ${name.padEnd(14)} ${value}`)
  for (const { promise, seen } of failed) console.log(`  NOT SO         ${promise}; seen: ${seen}`)
}

const demo = Effect.fnUntraced(function* () {
  const given = options(["prefect", "python"], ["keep", "injected"])
  const line = (given.prefect ?? "3") as Line
  if (versions[line] === undefined) {
    console.error(`--prefect is 2 or 3, not '${given.prefect}'`)
    return 1
  }
  const venv = yield* prefectVenv(line, given.python ?? "python3", say)
  say("starting the Control Plane emulator and the Prefect server")
  const here = yield* world({ venv, say })
  const { prefect, cpln, folder } = here
  const agentHome = join(folder, "agent")

  const places =
    given.injected === true ? [] : ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
  const env = { ...access(prefect, cpln), ...(given.injected === true ? injected(place) : {}) }
  yield* agentCommand({
    agent: here.agent,
    args: ["pool", "create", "cpln", ...places],
    home: agentHome,
    env
  })
  say(`agent pool create cpln ${places.join(" ")}`)
  const pool = yield* prefect.pool("cpln")

  const agent = yield* startAgent({
    agent: here.agent,
    args: ["--pool", "cpln", "--interval", "60"],
    home: agentHome,
    env
  })
  yield* online(agent, prefect, "cpln")
  say(`agent --pool cpln --interval 60, process ${agent.pid}: the server lists it as online`)

  const sources = { folder: flowFolder(folder), git: yield* flowRepository(folder) }
  const ids = yield* deploy(
    prefect,
    scenarios.map(({ deployment: { from, ...rest } }) => ({ ...rest, pool: "cpln", source: sources[from] }))
  )
  say(`flow.from_source(...).deploy(work_pool_name="cpln"): ${scenarios.length} deployments`)

  const runs = yield* Effect.forEach(scenarios, (scenario) =>
    prefect.run(ids[scenario.deployment.name] ?? "").pipe(Effect.map(({ id }) => ({ scenario, id })))
  )
  yield* Effect.forEach(runs, ({ scenario, id }) => follow(here, scenario, id), { concurrency: "unbounded" })
  const results = yield* Effect.forEach(
    runs,
    Effect.fnUntraced(function* ({ scenario, id }) {
      // The job of a run that its own engine ended is over a moment later, and its last lines follow.
      const { checks, record } = yield* settled(readRecord(prefect, cpln, place, id), (seen) =>
        promises(seen, scenario.expected, { place, pool, agentOutput: agent.output() })
      )
      report(scenario, record, checks)
      return { scenario, record, checks }
    })
  )

  console.log(
    `\n${table(
      ["flow run", "ended", "command", "exit", "due → command", "in all", "verdict"],
      results.map(({ scenario, record, checks }) => [
        scenario.title,
        record.run.state_name,
        record.commands[0]?.command.lifecycleStage ?? "none",
        String(exitCode(record) ?? "–"),
        between(record.run.expected_start_time, record.commands[0]?.command.created),
        between(record.run.expected_start_time, record.run.end_time),
        checks.every(({ holds }) => holds)
          ? `${checks.length} of ${checks.length} checks`
          : "NOT as it should be"
      ])
    )}\n`
  )

  if (given.keep === true) {
    console.log(
      [
        "Everything is left running.",
        `  Prefect         ${prefect.ui}`,
        `  Control Plane   ${cpln.url}  (token ${cpln.token})`,
        `  agent's output  ${agent.logFile}`,
        `  run one more    PREFECT_API_URL=${prefect.api} ${join(venv.bin, "prefect")} deployment run completes/folder`,
        "To try dist/agent explain RUN, plan, cleanup, blocks and the like with it, in another terminal:",
        `  export PREFECT_API_URL=${prefect.api} CPLN_ENDPOINT=${cpln.url} CPLN_TOKEN=${cpln.token}`,
        `Ctrl-C, or kill ${process.pid}, stops it all and removes ${folder}`
      ].join("\n")
    )
    yield* Effect.never
  }

  const { code } = yield* agent.signal("SIGTERM").pipe(Effect.andThen(agent.stop(15)))
  say(`the agent ended with exit code ${code} on SIGTERM`)
  const wrong =
    results.flatMap(({ checks }) => checks.filter(({ holds }) => !holds)).length + (code === 0 ? 0 : 1)
  say(wrong === 0 ? "all was as it should be" : `${wrong} things were not as they should be`)
  if (wrong > 0) console.log(`\nThe agent's last lines:\n${agent.output().split("\n").slice(-30).join("\n")}`)
  return wrong === 0 ? 0 : 1
})

runScript(Effect.scoped(demo()))
