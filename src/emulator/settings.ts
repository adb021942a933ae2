/**
 * What can be set of the emulator, once for all its parts.
 *
 * Invariant: every time is in milliseconds, whatever unit its flag has.
 */
import { Context, type Redacted } from "effect"
import type { Rule } from "./faults/rule.ts"
import type { FinalStage } from "./jobs/run-state.ts"

export interface EmulatorSettings {
  readonly host: string
  /** 0 is any free one. */
  readonly port: number
  /** The one token that opens everything; without it any token does. */
  readonly token: Redacted.Redacted | undefined
  readonly orgs: ReadonlyArray<string>
  /** `exec` runs the programs of jobs as processes; `virtual` jobs only live. */
  readonly mode: "exec" | "virtual"
  /** From the acceptance of a run to the start of its containers. */
  readonly startDelay: number
  /** How long a virtual job lives; 0 is until it is ended by request. */
  readonly runFor: number
  /** The stage that a stopped run ends in. */
  readonly stopStage: FinalStage
  /** From a stop to SIGKILL, where the workload does not say. */
  readonly grace: number
  /** From a stop to SIGTERM; undefined is half the grace. */
  readonly preStop: number | undefined
  readonly pageSize: number
  /** How many finished commands are kept, over all workloads. */
  readonly keepCommands: number
  /** Commands of this machine in place of the entrypoints of images, by the image's name with or without its tag. */
  readonly images: Readonly<Record<string, string>>
  /** What goes wrong from the start on. */
  readonly faults: ReadonlyArray<Rule>
  /** A folder that outlives the emulator; without one nothing does. */
  readonly state: string | undefined
}

export class Settings extends Context.Service<Settings, EmulatorSettings>()("emulator/Settings") {}

/** Made for a laptop: a stop takes a second or two. */
export const defaults: EmulatorSettings = {
  host: "127.0.0.1",
  port: 0,
  token: undefined,
  orgs: ["demo"],
  mode: "exec",
  startDelay: 200,
  runFor: 0,
  stopStage: "failed",
  grace: 10_000,
  preStop: 1_000,
  pageSize: 50,
  keepCommands: 20_000,
  images: {},
  faults: [],
  state: undefined
}

/** As the service takes its time. */
export const realTimes: Pick<EmulatorSettings, "grace" | "preStop" | "startDelay"> = {
  startDelay: 14_000,
  grace: 90_000,
  preStop: undefined
}
