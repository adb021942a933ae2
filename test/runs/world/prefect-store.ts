/**
 * The flow runs of a Prefect server in memory, as they are and as they were at any time before.
 *
 * Invariant: nothing is forgotten but by a restore or a reset, so that an old answer can be given and an old database be
 * put back; what is asked all the time, the runs as they are now, is at hand without a search.
 */
import type { FlowRun, State } from "../../../src/prefect/schemas.ts"

interface StoredRun {
  /** As it was from each moment on, oldest first. */
  readonly versions: Array<{ readonly at: number; readonly run: FlowRun }>
  readonly states: Array<State>
  retriesLeft: number
  deletedAt: number | undefined
}

export class RunStore {
  readonly #runs = new Map<string, StoredRun>()
  /** Those that exist, as they are. */
  readonly #current = new Map<string, FlowRun>()
  readonly #byType = new Map<string, Map<string, FlowRun>>()
  #changedAt = Number.NEGATIVE_INFINITY

  /** Undefined for one that does not exist, or did not at that time. */
  run(id: string, asOf = Number.POSITIVE_INFINITY): FlowRun | undefined {
    if (asOf >= this.#changedAt) return this.#current.get(id)
    const stored = this.#runs.get(id)
    if (stored === undefined || (stored.deletedAt !== undefined && stored.deletedAt <= asOf)) return undefined
    return stored.versions.findLast((each) => each.at <= asOf)?.run
  }

  /** All of them, or those in one of these states. */
  all(asOf = Number.POSITIVE_INFINITY, types?: ReadonlyArray<string>): ReadonlyArray<FlowRun> {
    if (asOf >= this.#changedAt) {
      return types === undefined
        ? [...this.#current.values()]
        : types.flatMap((type) => [...(this.#byType.get(type)?.values() ?? [])])
    }
    return [...this.#runs.keys()]
      .flatMap((id) => this.run(id, asOf) ?? [])
      .filter((run) => types === undefined || types.includes(run.state_type ?? ""))
  }

  /** Oldest first. */
  states(id: string): ReadonlyArray<State> {
    return this.#runs.get(id)?.states ?? []
  }

  add(now: number, run: FlowRun, states: ReadonlyArray<State>, retriesLeft: number): void {
    // As the server has them: by their own times, whichever was written last.
    const inOrder = [...states].sort((a, b) => Date.parse(a.timestamp) - Date.parse(b.timestamp))
    this.#runs.set(run.id, { versions: [], states: inOrder, retriesLeft, deletedAt: undefined })
    this.put(now, run)
  }

  /** The run from now on; with the state that it has just entered, if it has. */
  put(now: number, run: FlowRun, entered?: State): void {
    const stored = this.#runs.get(run.id)
    if (stored === undefined) return
    stored.versions.push({ at: now, run })
    if (entered !== undefined) {
      // As the server shows them: by the times at which they were asked for, whichever was written last.
      const after = stored.states.findLastIndex((each) => each.timestamp <= entered.timestamp)
      stored.states.splice(after + 1, 0, entered)
    }
    this.#changedAt = Math.max(this.#changedAt, now)
    this.#show(run.id, run)
  }

  delete(now: number, id: string): void {
    const stored = this.#runs.get(id)
    if (stored === undefined) return
    stored.deletedAt = now
    this.#changedAt = Math.max(this.#changedAt, now)
    this.#show(id, undefined)
  }

  /** False when no retry is left; else there is one less. */
  takeRetry(id: string): boolean {
    const stored = this.#runs.get(id)
    if (stored === undefined || stored.retriesLeft <= 0) return false
    stored.retriesLeft--
    return true
  }

  /** The database as it was at a time: runs made later are gone, states written later too. */
  restore(asOf: number): void {
    for (const [id, stored] of this.#runs) {
      const kept = stored.versions.filter((each) => each.at <= asOf)
      const last = kept.at(-1)
      if (last === undefined) {
        this.#runs.delete(id)
        this.#show(id, undefined)
        continue
      }
      stored.versions.splice(0, stored.versions.length, ...kept)
      const states = stored.states.filter((each) => Date.parse(each.timestamp) <= asOf)
      stored.states.splice(0, stored.states.length, ...states)
      if (stored.deletedAt !== undefined && stored.deletedAt > asOf) stored.deletedAt = undefined
      this.#show(id, stored.deletedAt === undefined ? last.run : undefined)
    }
  }

  clear(): void {
    this.#runs.clear()
    this.#current.clear()
    this.#byType.clear()
  }

  #show(id: string, run: FlowRun | undefined): void {
    const before = this.#current.get(id)
    if (before?.state_type !== run?.state_type) this.#byType.get(before?.state_type ?? "")?.delete(id)
    if (run === undefined) {
      this.#current.delete(id)
      return
    }
    this.#current.set(id, run)
    const type = run.state_type ?? ""
    const alike = this.#byType.get(type)
    if (alike === undefined) this.#byType.set(type, new Map([[id, run]]))
    else alike.set(id, run)
  }
}
