/**
 * Control Plane in memory: workloads, their deployments, and commands with the executions and replicas of their jobs.
 *
 * Invariant: a stage that is final stays, but for `failed`, which the service may correct to `completed`; every method is
 * one step that takes the time it happens at, and every write goes into the chronicle.
 */
import type { StartCommand } from "../../../src/cpln/commands.ts"
import type { LogLine } from "../../../src/cpln/logs.ts"
import type { Command, Deployment, JobExecution, Term, WorkloadRef } from "../../../src/cpln/schemas.ts"
import type { Writer } from "./chronicle.ts"
import { PlatformObjects } from "./platform-objects.ts"

interface Version {
  readonly at: number
  readonly command: Command
  readonly execution: JobExecution | undefined
}

interface StoredCommand {
  readonly workload: string
  readonly versions: Array<Version>
  /** Its replica in truth; when the command and the executions show it is another matter. */
  replica: string | undefined
  stopAskedAt: number | undefined
  /** Until when a stop of it is under way: until then another is refused. */
  stoppingUntil: number
  deletedAt: number | undefined
}

export const finalStages: ReadonlySet<string> = new Set(["completed", "failed", "cancelled"])

/** Commands of one page where only one is read. */
const pageSize = 50

const iso = (ms: number): string => new Date(ms).toISOString()

/** A stop that comes to nothing is over after that long, in ms. */
const vainStop = 20_000

export class PlatformModel extends PlatformObjects {
  /** After how long a command names its replica, and after how long the job executions show what is; in ms. */
  readonly lag = { replica: 0, executions: 0 }
  /** So many of the next stops are taken, and come to nothing. */
  vainStops = 0
  /** Of the nth command. What a job prints is known to be its own by a UUID only. */
  idOf = (n: number): string => `command${n}`
  /** What jobs printed; nothing, unless a test has it so. */
  readonly output: Array<LogLine> = []
  /** Called when a command is made: plays its job. */
  onStart: (commandId: string) => void = () => undefined
  /** Called when a stop of its replica is asked for. */
  onStop: (commandId: string) => void = () => undefined
  /** Called when its machine, or its memory, is taken away: the containers are over at once. */
  onKill: (commandId: string, exitCode: number, reason: string) => void = () => undefined
  /** Called when a command is deleted: its job is no more. */
  onDelete: (commandId: string) => void = () => undefined
  readonly #commands = new Map<string, StoredCommand>()
  /** Ids, oldest first. */
  readonly #byWorkload = new Map<string, Array<string>>()
  readonly #byRun = new Map<string, Array<string>>()
  #counter = 0

  /** Its commands go with it, and so does what its deployments listed. */
  deleteWorkload(now: number, by: Writer, path: string): void {
    const stored = this.workloads.get(path)
    if (stored === undefined) return
    this.workloads.delete(path)
    for (const id of this.#byWorkload.get(path) ?? []) {
      this.forgetExecution(now, id)
      this.deleteCommand(now, by, id)
    }
    this.chronicle.add({
      at: now,
      by,
      what: "workload deleted",
      name: stored.ref.name,
      path,
      tags: stored.tags
    })
  }

  // Commands

  /** Undefined when the workload does not exist. */
  start(
    now: number,
    by: Writer,
    ref: WorkloadRef,
    { tags, ...spec }: StartCommand,
    sent: number = now
  ): string | undefined {
    if (!this.workloads.has(ref.path)) return undefined
    const id = this.idOf(++this.#counter)
    const command = {
      id,
      type: "runCronWorkload",
      created: iso(now),
      lastModified: iso(now),
      lifecycleStage: "pending",
      tags,
      spec
    }
    this.addCommand(now, by, ref, command, sent)
    this.onStart(id)
    return id
  }

  /** A command as it is given, with an execution that fits. */
  addCommand(now: number, by: Writer, ref: WorkloadRef, command: Command, sent: number = now): void {
    const replica = command.status?.replica ?? undefined
    const runId = textOf(command.tags?.["prefect.io/flow-run-id"])
    append(this.#byWorkload, ref.path, command.id)
    if (runId !== undefined) append(this.#byRun, runId, command.id)
    this.#commands.set(command.id, {
      workload: ref.path,
      versions: [
        {
          at: now,
          command,
          execution: {
            name: `command-${command.id}`,
            status: command.lifecycleStage === "running" ? "active" : "pending",
            ...(replica === undefined ? {} : { replica })
          }
        }
      ],
      replica,
      stopAskedAt: undefined,
      stoppingUntil: 0,
      deletedAt: undefined
    })
    this.chronicle.add({
      at: now,
      by,
      what: "job made",
      sent,
      commandId: command.id,
      runId,
      workload: ref.path,
      tags: command.tags ?? {}
    })
  }

  command(id: string, asOf?: number): Command | undefined {
    return this.#versionOf(id, asOf)?.command
  }

  workloadOf(id: string): WorkloadRef | undefined {
    return this.workloads.get(this.#commands.get(id)?.workload ?? "")?.ref
  }

  /** All commands, oldest first. */
  commands(asOf?: number): ReadonlyArray<Command> {
    return [...this.#commands.keys()].flatMap((id) => this.command(id, asOf) ?? [])
  }

  commandsOf(runId: string): ReadonlyArray<Command> {
    return (this.#byRun.get(runId) ?? []).flatMap((id) => this.command(id) ?? [])
  }

  live(runId: string): ReadonlyArray<Command> {
    return this.commandsOf(runId).filter((each) => !finalStages.has(each.lifecycleStage))
  }

  /** As its workload's deployment shows it, also after its command was deleted. */
  execution(id: string): JobExecution | undefined {
    return this.#versionOf(id, undefined, true)?.execution
  }

  stopAsked(id: string): boolean {
    return this.#commands.get(id)?.stopAskedAt !== undefined
  }

  /** Nothing changes once the stage is final; `corrected` is how the service mends a `failed`. */
  change(
    now: number,
    id: string,
    change: {
      readonly stage?: string
      readonly replica?: string
      /** What the command shows as its replica; "" for nothing yet. */
      readonly shown?: string
      readonly execution?: Partial<JobExecution>
      readonly corrected?: boolean
    }
  ): void {
    const before = this.#versionOf(id, undefined, true)
    if (before === undefined) return
    if (finalStages.has(before.command.lifecycleStage) && change.corrected !== true) return
    const { execution, replica, stage } = change
    const stored = this.#commands.get(id)
    if (stored === undefined) return
    if (replica !== undefined) stored.replica = replica
    const shown = change.shown ?? replica
    stored.versions.push({
      at: now,
      command: {
        ...before.command,
        lastModified: iso(now),
        ...(stage === undefined ? {} : { lifecycleStage: stage }),
        ...(shown === undefined || shown === "" ? {} : { status: { replica: shown } })
      },
      execution:
        before.execution === undefined
          ? undefined
          : { ...before.execution, ...(replica === undefined ? {} : { replica }), ...execution }
    })
    const ended = Object.values(execution?.containers ?? {})[0]?.restarts?.exitCode ?? undefined
    if (stage === undefined && ended !== undefined) {
      this.chronicle.add({ at: now, by: "platform", what: "job main over", commandId: id, exitCode: ended })
    }
    if (stage !== undefined && stage !== before.command.lifecycleStage) {
      this.chronicle.add({
        at: now,
        by: "platform",
        what: "job stage",
        commandId: id,
        stage,
        ...(ended === undefined ? {} : { exitCode: ended })
      })
    }
  }

  /** `jobGoesOn`: only the record is gone; the job runs to its end, which the executions show. */
  deleteCommand(now: number, by: Writer, id: string, jobGoesOn = false): void {
    const stored = this.#commands.get(id)
    if (stored === undefined || stored.deletedAt !== undefined) return
    stored.deletedAt = now
    this.chronicle.add({ at: now, by, what: "job deleted", commandId: id })
    if (!jobGoesOn) this.onDelete(id)
  }

  /** Undefined when the workload does not exist. */
  find(asOf: number, ref: WorkloadRef, terms: ReadonlyArray<Term>): ReadonlyArray<Command> | undefined {
    const { path } = ref
    if (!this.workloads.has(path)) return undefined
    return (this.#byWorkload.get(path) ?? [])
      .flatMap((id) => this.command(id, asOf) ?? [])
      .filter((command) => terms.every((term) => meets(command, term)))
      .sort((a, b) => (a.created === b.created ? (a.id < b.id ? -1 : 1) : a.created < b.created ? -1 : 1))
  }

  /** The newest commands of any type, and whether there are more. Undefined when the workload does not exist. */
  latest(
    asOf: number,
    ref: WorkloadRef
  ): { readonly items: ReadonlyArray<Command>; readonly more: boolean } | undefined {
    const all = this.find(asOf, ref, [])
    return all === undefined
      ? undefined
      : { items: all.toReversed().slice(0, pageSize), more: all.length > pageSize }
  }

  /** Undefined when the workload does not exist. */
  deployments(asOf: number, ref: WorkloadRef): ReadonlyArray<Deployment> | undefined {
    const { path } = ref
    const stored = this.workloads.get(path)
    if (stored === undefined) return undefined
    const ready = asOf - stored.madeAt >= this.readyAfter
    const executions = (this.#byWorkload.get(path) ?? []).flatMap(
      (id) => this.#versionOf(id, asOf - this.lag.executions, true) ?? []
    )
    return (this.gvcs.get(`${ref.org}/${ref.gvc}`) ?? []).map((name) => ({
      name,
      status: {
        ready,
        deploying: !ready,
        message: ready ? "" : "waiting for the image",
        jobExecutions: listed(executions.filter(({ command }) => command.spec?.location === name))
      }
    }))
  }

  /** Forgets what the deployment lists of a job, as it does in time. */
  forgetExecution(now: number, id: string): void {
    const before = this.#versionOf(id, undefined, true)
    if (before !== undefined)
      this.#commands.get(id)?.versions.push({ ...before, at: now, execution: undefined })
  }

  /** Commands of finished jobs go, as they do in time. */
  rotate(now: number, path: string): number {
    const old = (this.#byWorkload.get(path) ?? []).filter((id) =>
      finalStages.has(this.command(id)?.lifecycleStage ?? "")
    )
    for (const id of old) this.deleteCommand(now, "platform", id)
    return old.length
  }

  /** "missing" where no live job has this replica. */
  stop(
    now: number,
    by: Writer,
    ref: WorkloadRef,
    what: { readonly replica: string; readonly location: string }
  ): "asked" | "already" | "missing" {
    for (const id of this.#byWorkload.get(ref.path) ?? []) {
      const stored = this.#commands.get(id)
      const command = this.command(id)
      if (stored?.replica !== what.replica || command === undefined) continue
      if (command.spec?.location !== what.location || finalStages.has(command.lifecycleStage)) continue
      if (now < stored.stoppingUntil) return "already"
      this.chronicle.add({ at: now, by, what: "job stop asked", commandId: id })
      const vain = this.vainStops > 0
      if (vain) this.vainStops--
      else stored.stopAskedAt = now
      stored.stoppingUntil = vain ? now + vainStop : Number.POSITIVE_INFINITY
      if (!vain) this.onStop(id)
      return "asked"
    }
    return "missing"
  }

  /** `listed`: executions stay in the deployment's list after their command was deleted. */
  #versionOf(id: string, asOf = Number.POSITIVE_INFINITY, listed = false): Version | undefined {
    const stored = this.#commands.get(id)
    if (stored === undefined) return undefined
    if (!listed && stored.deletedAt !== undefined && stored.deletedAt <= asOf) return undefined
    return stored.versions.findLast((each) => each.at <= asOf)
  }
}

const append = (lists: Map<string, Array<string>>, key: string, id: string): void => {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [id])
  else list.push(id)
}

/** A workload's history keeps so many finished executions. */
const historyLimit = 5

const listed = (versions: ReadonlyArray<Version>): ReadonlyArray<JobExecution> => {
  const over = versions.filter(({ command }) => finalStages.has(command.lifecycleStage))
  const dropped = new Set(over.slice(0, Math.max(0, over.length - historyLimit)))
  return versions.flatMap((each) => (dropped.has(each) || each.execution === undefined ? [] : each.execution))
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

const meets = (command: Command, { op, property, tag, value }: Term): boolean => {
  const found =
    tag === undefined
      ? textOf((command as unknown as Readonly<Record<string, unknown>>)[property ?? ""])
      : textOf(command.tags?.[tag])
  switch (op) {
    case "=":
      return found === value
    case "!=":
      return found !== value
    case "exists":
      return found !== undefined
    case "!exists":
      return found === undefined
    case "~":
      return found?.includes(value ?? "") === true
  }
}
