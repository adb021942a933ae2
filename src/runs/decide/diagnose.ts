/**
 * From what the platform says of a job's end to words for a person: how it ended, what kind of trouble that is, and what
 * to do about it.
 *
 * Invariant: an exit code is stated only when the platform gave one; every category has its heading in
 * `docs/troubleshooting.md`, by the same name.
 */
import type { JobExecution } from "../../cpln/schemas.ts"
import type { Exit, Observation } from "./decide.ts"

/** Stable names: people search for them and alert on them. */
export type Category =
  | "out-of-memory"
  | "killed"
  | "image-pull"
  | "eviction"
  | "deadline"
  | "capacity"
  | "refused-secret"
  | "not-started"
  | "command-not-found"
  | "stopped"
  | "terminated"
  | "lost"
  | "unreported"
  | "exit-code"
  | "refused"

const remedies: Readonly<Record<Category, string>> = {
  "out-of-memory": "Give the job more memory: resources.limits.memory in the job manifest.",
  killed:
    "Something killed the process without the platform saying why: memory is the usual reason, so look at its use, or give it more.",
  "image-pull":
    "Check the image's name and tag, and the GVC's pull secrets; a large image needs a longer --start-timeout.",
  eviction: "The platform took the job's machine away: run it again, or give the flow retries.",
  deadline: "Raise job_watch_timeout_seconds or activeDeadlineSeconds, or make the flow quicker.",
  capacity: "Ask for less cpu and memory, or use another location.",
  "refused-secret":
    "Check that the secret and its key exist, and let the job's identity reveal it: a policy with the permission reveal.",
  "not-started":
    "Most often the job waits for a secret that is missing or that its identity may not reveal, or for an image: check both, then --start-timeout.",
  "command-not-found": "The image has no such program: check the image and the job's command.",
  stopped:
    "The agent stopped this job when its run was cancelled, over or not to run; the run's state was changed again since. Run the flow again.",
  terminated:
    "Something stopped the job from outside: look for a stop, a scale-down or a redeploy at that time.",
  lost: "The job was deleted at Control Plane, or never came to be there. Run the flow again.",
  unreported:
    "The process ended well but told Prefect nothing: check that the job can reach PREFECT_API_URL.",
  "exit-code": "The lines before the end say more: see the job's output.",
  refused: "Nothing was started: mend what is named, and run the flow again."
}

export const categories = Object.keys(remedies) as ReadonlyArray<Category>

export const remedyOf = (category: Category): string => remedies[category]

/** What every message of a crash ends with: the kind, what to do, and the heading that says more. */
export const advice = (category: Category): string =>
  `[${category}] ${remedyOf(category)} (docs/troubleshooting.md#${category})`

/** What an exit code usually means; the wording of Prefect's own workers. */
const meaning: Readonly<Record<number, string>> = {
  1: "the process failed",
  125: "the container could not be run",
  126: "the command cannot be executed",
  127: "the command was not found",
  137: "killed, often because it ran out of memory",
  143: "ended by SIGTERM",
  247: "ran out of memory"
}

/** How the named container ended; falls back to what the execution itself says. */
export const exitOf = (execution: JobExecution | undefined, container: string): Exit => {
  const seen = execution?.containers?.[container]
  const code = seen?.restarts?.exitCode ?? undefined
  const reason = seen?.restarts?.reason ?? undefined
  // What a Job failed for stands first in the condition that announces it.
  const condition = execution?.conditions?.find(
    (each) => each.type === "Failed" || each.type === "FailureTarget"
  )
  const words = [
    code === undefined
      ? undefined
      : `exit code ${code}${meaning[code] === undefined ? "" : ` (${meaning[code]})`}`,
    isNoise(reason) ? undefined : reason,
    isNoise(seen?.message) ? undefined : seen?.message,
    isNoise(condition?.reason) ? undefined : condition?.reason,
    condition?.message,
    execution?.message
  ].filter((each): each is string => typeof each === "string" && each !== "")
  return { code, text: words.length === 0 ? "the platform gave no reason" : [...new Set(words)].join(" · ") }
}

/** What only says again that it ended, or with which code. */
const isNoise = (words: string | null | undefined): boolean =>
  /^(Error|Completed|BackoffLimitExceeded|exited with code \d+.*)$/u.test(words ?? "")

/** Most telling first: an exit code of 137 is every kill's, so the platform's own words come before it. */
const byWords: ReadonlyArray<readonly [RegExp, Category]> = [
  [/OOMKilled|out of memory|memory limit/iu, "out-of-memory"],
  [
    /ErrImage(NeverPull|Pull)|ImagePullBackOff|InvalidImageName|pull(ing)? (the )?image|manifest unknown/iu,
    "image-pull"
  ],
  [/Evicted|Preempt|node ?(was )?(shut|lost)/iu, "eviction"],
  [/DeadlineExceeded|(active|specified|its) deadline/iu, "deadline"],
  [/Insufficient|Unschedulable|FailedScheduling|nodes are available|exceeded quota|capacity/iu, "capacity"],
  [
    /reveal|secret .*(not found|denied|missing)|find key .* in secret|CreateContainerConfigError/iu,
    "refused-secret"
  ],
  [/exec format error|executable file not found|ContainerCannotRun/iu, "command-not-found"]
]

const wordedAs = (words: string): Category | undefined =>
  byWords.find(([pattern]) => pattern.test(words))?.[1]

const byCode: Readonly<Record<number, Category>> = {
  126: "command-not-found",
  127: "command-not-found",
  137: "killed",
  143: "terminated",
  247: "out-of-memory"
}

/** Of the first container that has one; 0 for an execution that was successful. */
export const exitCodeOf = (execution: JobExecution | undefined): number | undefined => {
  const codes = Object.values(execution?.containers ?? {}).flatMap(({ restarts }) => restarts?.exitCode ?? [])
  return codes[0] ?? (execution?.status === "successful" ? 0 : undefined)
}

/** What is known beside the platform's words. */
export interface Circumstances {
  /** The agent's own deadline, or that of the job. */
  readonly deadline: boolean
  /** Nothing is left of the job. */
  readonly gone: boolean
  /** No container of it ever ran. */
  readonly neverStarted?: boolean
  /** The agent had sent a stop. */
  readonly stopAsked?: boolean
  /** In which the command ended. */
  readonly stage?: "completed" | "failed" | "cancelled" | undefined
}

/** The kind of an end that the agent had to report. */
export const categoryOf = (
  exit: Exit | undefined,
  { deadline, gone, neverStarted, stage, stopAsked }: Circumstances
): Category => {
  if (deadline) return "deadline"
  if (gone) return "lost"
  // Only the platform's words count here, not ours for what the code usually means.
  const worded = wordedAs(exit?.text.replace(meaning[exit.code ?? 0] ?? "", "") ?? "")
  if (worded !== undefined) return worded
  if (neverStarted === true) return "not-started"
  // Before the stage and the code, which a stop of ours and one from outside leave alike.
  if (stopAsked === true) return "stopped"
  if (stage === "cancelled") return "terminated"
  if (exit?.code === 0 || (exit?.code === undefined && stage === "completed")) return "unreported"
  return (exit?.code === undefined ? undefined : byCode[exit.code]) ?? "exit-code"
}

/** The same from what was seen; `trouble` is why it did not start, where that is the reason. */
export const kindOf = (why: string, seen: Observation, trouble: string | undefined): Category =>
  categoryOf(
    trouble === undefined
      ? "exit" in seen
        ? seen.exit
        : undefined
      : { code: undefined, text: trouble === silence ? "" : trouble },
    {
      gone: seen._tag === "Absent",
      deadline: why.startsWith("deadline"),
      neverStarted: trouble !== undefined || seen._tag === "Pending",
      stopAsked: "stopAsked" in seen && seen.stopAsked,
      stage: seen._tag === "Final" ? seen.stage : undefined
    }
  )

/** The kind of a refusal: what waits for its workload may wait for the same things as a job. */
export const categoryOfRefusal = (problems: string): Category => {
  const worded = wordedAs(problems.replace(silence, ""))
  const [first = ""] = problems.split("\n", 1)
  if (first.includes("not ready in ")) return worded ?? "not-started"
  if (first.includes("could not be started")) return worded ?? "lost"
  // All else is a definition, whose texts are its owner's.
  return worded === "refused-secret" ? worded : "refused"
}

/** What is said where the platform gives no reason; it names what may be the matter, which then is no word of it. */
export const silence = "the platform gave no reason; a missing secret or image pull secret waits silently"

/** Why a job has not started yet, in the platform's words. */
export const troubleOf = (execution: JobExecution | undefined): string | undefined => {
  const words = [
    execution?.message,
    ...Object.values(execution?.containers ?? {}).map((container) => container.message)
  ].filter((each): each is string => typeof each === "string" && each !== "")
  return words.length === 0 ? undefined : [...new Set(words)].join(" · ")
}
