/**
 * Everything that was written to either modelled service, in order: what checks of the world read.
 *
 * Invariant: an entry is made in the same step as the write it tells of, by the model and never by its caller, so that no
 * belief of an agent can get in.
 */
import type { State } from "../../../src/prefect/schemas.ts"

/** Who wrote: an agent by its name, the engine inside a job, or the world itself (people, the services). */
export type Writer = `agent ${string}` | "engine" | "server" | "platform" | "person"

export type Entry = { readonly at: number; readonly by: Writer } & (
  | {
      readonly what: "state"
      readonly runId: string
      readonly from: State | undefined
      readonly to: State
      /** It was written whatever the rules say. */
      readonly forced?: boolean
    }
  | {
      readonly what: "run changed"
      /** When its writer decided to send it, in ms since 1970. */
      readonly sent: number
      readonly runId: string
      readonly change: Readonly<Record<string, unknown>>
    }
  | { readonly what: "run deleted"; readonly runId: string }
  | {
      readonly what: "job made"
      /** When the start was sent, in ms since 1970. */
      readonly sent: number
      readonly commandId: string
      readonly runId: string | undefined
      /** Path of its workload. */
      readonly workload: string
      readonly tags: Readonly<Record<string, unknown>>
    }
  | {
      readonly what: "job stage"
      readonly commandId: string
      readonly stage: string
      /** Of its main container, where that is over. */
      readonly exitCode?: number
    }
  /** Side containers are left. */
  | { readonly what: "job main over"; readonly commandId: string; readonly exitCode: number }
  /** "restored" to what it was at `asOf`; "split": from now on a second server answers every other call. */
  | {
      readonly what: "database"
      readonly how: "reset" | "restored" | "split" | "joined"
      readonly asOf?: number
    }
  | { readonly what: "pool"; readonly name: string; readonly how: "deleted" | "made" | "changed" }
  | { readonly what: "job stop asked"; readonly commandId: string }
  | { readonly what: "job deleted"; readonly commandId: string }
  | {
      readonly what: "workload made" | "workload changed" | "workload deleted"
      readonly name: string
      readonly path: string
      readonly tags: Readonly<Record<string, unknown>>
    }
  | {
      readonly what:
        | "identity made"
        | "identity changed"
        | "identity deleted"
        | "policy made"
        | "policy changed"
        | "policy deleted"
      readonly name: string
    }
  | { readonly what: "lease renewed"; readonly lease: string }
  | { readonly what: "worker seen" | "worker deleted"; readonly name: string }
)

export class Chronicle {
  readonly entries: Array<Entry> = []

  add(entry: Entry): void {
    this.entries.push(entry)
  }

  /** Entries of one kind, oldest first. */
  of<W extends Entry["what"]>(what: W): ReadonlyArray<Extract<Entry, { readonly what: W }>> {
    return this.entries.filter((each): each is Extract<Entry, { readonly what: W }> => each.what === what)
  }
}
