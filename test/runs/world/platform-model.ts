/**
 * Control Plane in memory: workloads, their deployments, and commands with the executions and replicas of their jobs.
 *
 * Invariant: a stage that is final stays, but for `failed`, which the service may correct to `completed`; every method is
 * one step that takes the time it happens at, and every write goes into the chronicle.
 */
import type { StartCommand } from "../../../src/cpln/commands.ts"
import type { Command, Deployment, JobExecution, Term, WorkloadRef } from "../../../src/cpln/schemas.ts"
import type { Chronicle, Writer } from "./chronicle.ts"

export interface StoredWorkload {
  readonly ref: WorkloadRef
  readonly tags: Readonly<Record<string, unknown>>
  readonly spec: Readonly<Record<string, unknown>>
  readonly madeAt: number
  readonly version: number
}

/** An identity or a policy, as it was sent. */
export interface StoredObject {
  readonly body: Readonly<Record<string, unknown>>
  readonly version: number
}

export interface StoredSecret {
  readonly type: string
  readonly data: Readonly<Record<string, string>>
}

interface Version {
  readonly at: number
  readonly command: Command
  readonly execution: JobExecution | undefined
}

interface StoredCommand {
  readonly workload: string
  readonly versions: Array<Version>
  stopAskedAt: number | undefined
  deletedAt: number | undefined
}

export const finalStages: ReadonlySet<string> = new Set(["completed", "failed", "cancelled"])

const iso = (ms: number): string => new Date(ms).toISOString()

export class PlatformModel {
  readonly workloads = new Map<string, StoredWorkload>()
  /** By path. */
  readonly identities = new Map<string, StoredObject>()
  /** By `org/name`. */
  readonly policies = new Map<string, StoredObject>()
  /** By `org/name`. */
  readonly secrets = new Map<string, StoredSecret>()
  /** Locations of every GVC that exists, by `org/gvc`. */
  readonly gvcs = new Map<string, ReadonlyArray<string>>()
  /** Until when a workload's deployments are not ready, after it was made, in ms. */
  readyAfter = 0
  /** Called when a command is made: plays its job. */
  onStart: (commandId: string) => void = () => undefined
  /** Called when a stop of its replica is asked for. */
  onStop: (commandId: string) => void = () => undefined
  /** Called when a command is deleted: its job is no more. */
  onDelete: (commandId: string) => void = () => undefined
  readonly #commands = new Map<string, StoredCommand>()
  readonly chronicle: Chronicle
  #counter = 0

  constructor(chronicle: Chronicle) {
    this.chronicle = chronicle
  }

  // Workloads

  /** False when the name is taken. */
  makeWorkload(
    now: number,
    by: Writer,
    ref: WorkloadRef,
    body: Pick<StoredWorkload, "tags" | "spec">
  ): boolean {
    if (this.workloads.has(ref.path)) return false
    this.workloads.set(ref.path, { ref, ...body, madeAt: now, version: 1 })
    this.chronicle.add({
      at: now,
      by,
      what: "workload made",
      name: ref.name,
      path: ref.path,
      tags: body.tags
    })
    return true
  }

  /** A whole other body. False when it is not in this version any more. */
  replaceWorkload(
    now: number,
    by: Writer,
    ref: WorkloadRef,
    version: number | undefined,
    body: Pick<StoredWorkload, "tags" | "spec">
  ): boolean {
    const before = this.workloads.get(ref.path)
    if (before === undefined) return this.makeWorkload(now, by, ref, body)
    if (version !== undefined && version !== before.version) return false
    this.workloads.set(ref.path, { ...before, ...body, version: before.version + 1 })
    this.chronicle.add({
      at: now,
      by,
      what: "workload changed",
      name: ref.name,
      path: ref.path,
      tags: before.tags
    })
    return true
  }

  /** False when there is one, or when the one that is there is not in the version that was read. */
  writeObject(
    now: number,
    by: Writer,
    kind: "identity" | "policy",
    key: string,
    body: StoredObject["body"],
    read?: { readonly version: number | undefined }
  ): boolean {
    const all = kind === "identity" ? this.identities : this.policies
    const before = all.get(key)
    if (before !== undefined && (read === undefined || (read.version ?? before.version) !== before.version))
      return false
    all.set(key, { body, version: (before?.version ?? 0) + 1 })
    const name = String(body["name"])
    this.chronicle.add({ at: now, by, what: before === undefined ? `${kind} made` : `${kind} changed`, name })
    return true
  }

  /** Its commands go with it, and so does what its deployments listed. */
  deleteWorkload(now: number, by: Writer, path: string): void {
    const stored = this.workloads.get(path)
    if (stored === undefined) return
    this.workloads.delete(path)
    for (const [id, command] of this.#commands) {
      if (command.workload !== path) continue
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
  start(now: number, by: Writer, ref: WorkloadRef, { tags, ...spec }: StartCommand): string | undefined {
    if (!this.workloads.has(ref.path)) return undefined
    const id = `command${++this.#counter}`
    this.addCommand(now, by, ref, {
      id,
      type: "runCronWorkload",
      created: iso(now),
      lastModified: iso(now),
      lifecycleStage: "pending",
      tags,
      spec
    })
    this.onStart(id)
    return id
  }

  /** A command as it is given, with an execution that fits. */
  addCommand(now: number, by: Writer, ref: WorkloadRef, command: Command): void {
    const replica = command.status?.replica ?? undefined
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
      stopAskedAt: undefined,
      deletedAt: undefined
    })
    this.chronicle.add({
      at: now,
      by,
      what: "job made",
      commandId: command.id,
      runId: textOf(command.tags?.["prefect.io/flow-run-id"]),
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
    return this.commands().filter((each) => each.tags?.["prefect.io/flow-run-id"] === runId)
  }

  live(runId: string): ReadonlyArray<Command> {
    return this.commandsOf(runId).filter((each) => !finalStages.has(each.lifecycleStage))
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
      readonly execution?: Partial<JobExecution>
      readonly corrected?: boolean
    }
  ): void {
    const before = this.#versionOf(id)
    if (before === undefined) return
    if (finalStages.has(before.command.lifecycleStage) && change.corrected !== true) return
    const { execution, replica, stage } = change
    this.#commands.get(id)?.versions.push({
      at: now,
      command: {
        ...before.command,
        lastModified: iso(now),
        ...(stage === undefined ? {} : { lifecycleStage: stage }),
        ...(replica === undefined ? {} : { status: { replica } })
      },
      execution:
        before.execution === undefined
          ? undefined
          : { ...before.execution, ...(replica === undefined ? {} : { replica }), ...execution }
    })
    if (stage !== undefined && stage !== before.command.lifecycleStage) {
      const ended = Object.values(execution?.containers ?? {})[0]?.restarts?.exitCode ?? undefined
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

  deleteCommand(now: number, by: Writer, id: string): void {
    const stored = this.#commands.get(id)
    if (stored === undefined || stored.deletedAt !== undefined) return
    stored.deletedAt = now
    this.chronicle.add({ at: now, by, what: "job deleted", commandId: id })
    this.onDelete(id)
  }

  /** Undefined when the workload does not exist. */
  find(asOf: number, ref: WorkloadRef, terms: ReadonlyArray<Term>): ReadonlyArray<Command> | undefined {
    const { path } = ref
    if (!this.workloads.has(path)) return undefined
    return [...this.#commands]
      .filter(([, each]) => each.workload === path)
      .flatMap(([id]) => this.command(id, asOf) ?? [])
      .filter((command) => terms.every((term) => meets(command, term)))
      .sort((a, b) => (a.created === b.created ? (a.id < b.id ? -1 : 1) : a.created < b.created ? -1 : 1))
  }

  /** Undefined when the workload does not exist. */
  deployments(asOf: number, ref: WorkloadRef): ReadonlyArray<Deployment> | undefined {
    const { path } = ref
    const stored = this.workloads.get(path)
    if (stored === undefined) return undefined
    const ready = asOf - stored.madeAt >= this.readyAfter
    const executions = [...this.#commands]
      .filter(([, each]) => each.workload === path)
      .flatMap(([id]) => this.#versionOf(id, asOf, true) ?? [])
    return (this.gvcs.get(`${ref.org}/${ref.gvc}`) ?? []).map((name) => ({
      name,
      status: {
        ready,
        deploying: !ready,
        message: ready ? "" : "waiting for the image",
        jobExecutions: executions
          .filter(({ command }) => command.spec?.location === name)
          .flatMap(({ execution }) => execution ?? [])
      }
    }))
  }

  /** Forgets what the deployment lists of a job, as it does in time. */
  forgetExecution(now: number, id: string): void {
    const before = this.#versionOf(id, undefined, true)
    if (before !== undefined)
      this.#commands.get(id)?.versions.push({ ...before, at: now, execution: undefined })
  }

  /** "missing" where no live job has this replica. */
  stop(
    now: number,
    by: Writer,
    ref: WorkloadRef,
    what: { readonly replica: string; readonly location: string }
  ): "asked" | "already" | "missing" {
    for (const [id, stored] of this.#commands) {
      const command = this.command(id)
      if (stored.workload !== ref.path || command?.status?.replica !== what.replica) continue
      if (command.spec?.location !== what.location || finalStages.has(command.lifecycleStage)) continue
      if (stored.stopAskedAt !== undefined) return "already"
      stored.stopAskedAt = now
      this.chronicle.add({ at: now, by, what: "job stop asked", commandId: id })
      this.onStop(id)
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
