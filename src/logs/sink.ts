/**
 * Where lines of jobs go. There is one place so far: the agent's own output.
 *
 * Invariant: a sink is given each line once, those of a stream in order, and never fails; it may take its time, which holds
 * up the jobs of one workload only.
 */
import { Effect } from "effect"
import { type About, say } from "../observe/say.ts"

export type Sink = (about: About, line: string) => Effect.Effect<void>

export const stdout: Sink = (about, line) => say("info", "Logs", about, line)
