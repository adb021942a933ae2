/**
 * One flow run as both services recorded it, and what the design promises of it.
 *
 * Invariant: a verdict rests on the records of Prefect and of Control Plane, and on the lines that the agent printed
 * where the promise is about those lines; never on what the agent believes.
 */
import { Effect } from "effect"
import type { BadAnswer } from "./http.ts"
import {
  type Command,
  type ControlPlane,
  type JobExecution,
  type Place,
  startCommands
} from "./control-plane.ts"
import type { FlowRun, LogRecord, Operator, State, WorkerEvent, WorkPool } from "./prefect-server.ts"
import type { Line } from "./prefect-venv.ts"

export interface RunRecord {
  readonly flow: string
  readonly run: FlowRun
  readonly states: ReadonlyArray<State>
  readonly logs: ReadonlyArray<LogRecord>
  /** Every start command that carries this run's tag, whatever workload it belongs to. */
  readonly commands: ReadonlyArray<{ readonly workload: string; readonly command: Command }>
  readonly execution: JobExecution | undefined
  /** None where the server keeps none. */
  readonly events: ReadonlyArray<WorkerEvent>
  /** The ids of the stopReplica commands that were sent for the last of them. */
  readonly stops: ReadonlyArray<string>
}

/** Reads both sides. `exit code` comes from the deployment's job executions: the command itself has none. */
export const readRecord = Effect.fnUntraced(function* (
  prefect: Operator,
  cpln: ControlPlane,
  place: Place,
  id: string
) {
  const run = yield* prefect.flowRun(id)
  const flow = yield* prefect.get<{ readonly name: string }>(`/flows/${run.flow_id}`)
  const states = yield* prefect.states(id)
  const logs = yield* prefect.logs(id)
  const events = yield* prefect.workerEvents(id).pipe(
    Effect.catchIf(
      ({ status }) => status === 404,
      () => Effect.succeed([])
    )
  )
  const commands = (yield* startCommands(cpln, place)).filter(
    ({ command }) => command.tags?.["prefect.io/flow-run-id"] === id
  )
  const last = commands.at(-1)
  const executions = last === undefined ? [] : yield* cpln.executions(place, last.workload)
  const execution = executions.find(({ name }) => name === `command-${last?.command.id}`)
  const replicas = [last?.command.status?.replica, execution?.replica]
  const stops = (last === undefined ? [] : yield* cpln.commands(place, last.workload))
    .filter(({ spec, type }) => type === "stopReplica" && replicas.includes(spec.replica))
    .map(({ id: stop }) => stop)
  const record: RunRecord = { flow: flow.name, run, states, logs, events, commands, execution, stops }
  return record
})

/** The exit code of the job's first container that has one; 0 for one that was successful. */
export const exitCode = ({ execution }: RunRecord): number | undefined =>
  execution === undefined
    ? undefined
    : (Object.values(execution.containers ?? {}).find(({ restarts }) => restarts?.exitCode !== undefined)
        ?.restarts?.exitCode ?? (execution.status === "successful" ? 0 : undefined))

export interface Expected {
  readonly state: "COMPLETED" | "FAILED" | "CRASHED" | "CANCELLED"
  readonly stages: ReadonlyArray<string>
  /** A pattern for the message of the final state. */
  readonly message?: RegExp
  /** Text that must be in the agent's relay of the job's output. */
  readonly output?: string
  /** What the job printed last, of a run that the agent ended. */
  readonly lastWords?: string
  /** Of the job. */
  readonly exit?: number
  /** Its job has to end by itself. */
  readonly unstopped?: true
}

export interface Check {
  readonly promise: string
  readonly holds: boolean
  readonly seen: string
}

const check = (promise: string, holds: boolean, seen: unknown): Check => ({
  promise,
  holds,
  seen: typeof seen === "string" ? seen : JSON.stringify(seen)
})

const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

/** The promises of section 4 of the design for one run that went through an agent. */
export const promises = (
  record: RunRecord,
  expected: Expected,
  world: {
    readonly place: Place
    readonly pool: WorkPool
    readonly agentOutput: string
    readonly agentName?: string
    /** The line of the server: only 3.x keeps events. */
    readonly line?: Line
  }
): ReadonlyArray<Check> => {
  const { run, states, commands, flow } = record
  const { place, pool, agentOutput } = world
  const [first] = commands
  const command = first?.command
  const workload = first?.workload ?? "?"
  const pid = `${place.org}:${place.gvc}:${workload}:${command?.id}`
  const claim = states.find(
    ({ type, message }) => type === "PENDING" && message?.startsWith("Claimed by ") === true
  )
  const transition = claim?.state_details.transition_id ?? "?"
  const tags = command?.tags ?? {}
  const fields = `Flow: ${flow}, RunID: ${run.id}, GVC: ${place.gvc}`
  const ours = agentOutput.split("\n").filter((line) => line.includes(run.id))
  const told = record.logs.filter(({ name }) => name === "prefect.flow_runs.worker")
  const executed = record.events
    .filter(({ event }) => event === "prefect.worker.executed-flow-run")
    .map(({ related }) =>
      related.find((each) => each["prefect.resource.id"] === `prefect.flow-run.${run.id}`)
    )
  const withCommand = `${fields}, Workload: ${workload}, Cmd: ${command?.id} > `
  return [
    check(
      `the flow run ends ${expected.state}`,
      run.state_type === expected.state,
      `${run.state_name}: ${run.state.message}`
    ),
    ...(expected.message === undefined
      ? []
      : [
          check(
            `the end says why (${expected.message.source})`,
            expected.message.test(run.state.message ?? ""),
            run.state.message
          )
        ]),
    check(
      "one command was started for it",
      commands.length === 1,
      commands.map(({ command: { id } }) => id)
    ),
    check(
      `the command ends ${expected.stages.join(" or ")}`,
      expected.stages.includes(command?.lifecycleStage ?? "none"),
      command?.lifecycleStage ?? "none"
    ),
    ...(expected.lastWords === undefined
      ? []
      : [
          check(
            "the message of the end has what the job printed last",
            run.state.message?.includes(`Last lines of the job:\n`) === true &&
              run.state.message.trimEnd().endsWith(expected.lastWords),
            run.state.message
          ),
          check(
            "the run's log has what the job printed last",
            told.some(({ message }) => message.trimEnd().endsWith(expected.lastWords ?? "")),
            told.map(({ message }) => message)
          )
        ]),
    ...(expected.exit === undefined
      ? []
      : [
          check(
            "the run's log says where the time went",
            told.some(({ message }) => new RegExp(`^queued .* exit ${expected.exit}$`).test(message)),
            told.map(({ message }) => message)
          )
        ]),
    ...(expected.exit === undefined || world.line !== "3"
      ? []
      : [
          check(
            "the server's events tell once that it was executed, as which job and with which exit code",
            executed.length === 1 &&
              executed[0]?.["prefect.infrastructure.identifier"] === pid &&
              executed[0]["prefect.infrastructure.status-code"] === String(expected.exit),
            record.events.map(({ event }) => event).join(", ") + JSON.stringify(executed)
          )
        ]),
    ...(expected.unstopped === undefined
      ? []
      : [
          check(
            "no stopReplica was sent for its job",
            record.execution?.replica !== undefined && record.stops.length === 0,
            `replica ${record.execution?.replica}, stopped by ${record.stops.join(", ")}`
          )
        ]),
    check(
      "the infrastructure PID is org:gvc:workload:command",
      run.infrastructure_pid === pid,
      run.infrastructure_pid
    ),
    check(
      "the flow run's tags name the same four",
      [
        `cpln:org:${place.org}`,
        `cpln:gvc:${place.gvc}`,
        `cpln:workload:${workload}`,
        `cpln:command:${command?.id}`
      ].every((tag) => run.tags.includes(tag)),
      run.tags
    ),
    check(
      "the workload's name carries the pool",
      new RegExp(`^p${pool.id.slice(0, 8)}-[a-z0-9-]{1,25}-[0-9a-f]{12}$`).test(workload),
      workload
    ),
    check(
      "the claim message names agent, attempt and place",
      new RegExp(
        `^Claimed by \\S.* \\| attempt ${uuid} \\| ${place.org}:${place.gvc}:${workload} \\| try 1$`
      ).test(claim?.message ?? "") && claim?.message?.includes(transition) === true,
      claim?.message
    ),
    check(
      "the command's tags name run, flow, pool, agent and attempt",
      tags["prefect.io/flow-run-id"] === run.id &&
        tags["prefect.io/flow-name"] === flow &&
        tags["prefect.io/work-pool-id"] === pool.id &&
        (world.agentName === undefined
          ? tags["cpln/prefectAgent"] !== undefined
          : tags["cpln/prefectAgent"] === world.agentName) &&
        tags["prefect.io/attempt"]?.endsWith(`_${transition}`) === true,
      tags
    ),
    check(
      "the command runs in the pool's location",
      command?.spec.location === place.location,
      command?.spec.location
    ),
    check(
      "the agent says that it creates the job",
      ours.some(
        (line) => line.includes(`[CPLN] Job | ${fields}`) && line.includes("> Creating Control Plane job...")
      ),
      ours[0] ?? "no line"
    ),
    ...(expected.output === undefined
      ? []
      : [
          check(
            "the agent relays the job's output",
            ours.some(
              (line) => line.includes(`[CPLN] Logs | ${withCommand}`) && line.includes(expected.output ?? "")
            ),
            ours.find((line) => line.includes("[CPLN] Logs")) ?? "no line of [CPLN] Logs"
          )
        ])
  ]
}

/** How long the two sides may take to agree after the run's end: a runner's exit, and the last lines of its output. */
const settleWithin = 60

/** The record and its verdicts once all of them hold, or as they stand after a minute. */
export const settled = Effect.fnUntraced(function* (
  read: Effect.Effect<RunRecord, BadAnswer>,
  judge: (record: RunRecord) => ReadonlyArray<Check>
) {
  const until = performance.now() + settleWithin * 1000
  for (;;) {
    const record = yield* read
    const checks = judge(record)
    if (checks.every(({ holds }) => holds) || performance.now() > until) return { record, checks }
    yield* Effect.sleep("1 seconds")
  }
})
