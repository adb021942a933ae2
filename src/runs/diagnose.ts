/**
 * From what the platform says of a job's end to words for a person: how it ended, what kind of trouble that is, and what
 * to do about it.
 *
 * Invariant: an exit code is stated only when the platform gave one; every category has its heading in
 * `docs/troubleshooting.md`, by the same name.
 */
import type { JobExecution } from "../cpln/schemas.ts"
import type { Exit } from "./decide.ts"

/** Stable names: people search for them and alert on them. */
export type Category =
  | "out-of-memory"
  | "killed"
  | "image-pull"
  | "eviction"
  | "deadline"
  | "capacity"
  | "refused-secret"
  | "command-not-found"
  | "terminated"
  | "lost"
  | "unreported"
  | "exit-code"

const remedies: Readonly<Record<Category, string>> = {
  "out-of-memory": "Give the job more memory: resources.limits.memory in the job manifest.",
  killed:
    "Something killed the process without the platform saying why: memory is the usual reason, so look at its use, or give it more.",
  "image-pull": "Check the image's name and tag, and the GVC's pull secrets.",
  eviction: "The platform took the job's machine away: run it again, or give the flow retries.",
  deadline: "Raise job_watch_timeout_seconds or activeDeadlineSeconds, or make the flow quicker.",
  capacity: "Ask for less cpu and memory, or use another location.",
  "refused-secret": "Let the job's identity reveal the secret: a policy with the permission reveal.",
  "command-not-found": "The image has no such program: check the image and the job's command.",
  terminated:
    "Something stopped the job from outside: look for a stop, a scale-down or a redeploy at that time.",
  lost: "The job's command or workload was deleted at Control Plane. Run the flow again.",
  unreported:
    "The process ended well but told Prefect nothing: check that the job can reach PREFECT_API_URL.",
  "exit-code": "The lines before the end say more: see the job's output."
}

export const categories = Object.keys(remedies) as ReadonlyArray<Category>

export const remedyOf = (category: Category): string => remedies[category]

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
  const condition = execution?.conditions?.find((each) => each.type === "Failed")
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
  [/ErrImagePull|ImagePullBackOff|InvalidImageName|pull(ing)? image|manifest unknown/iu, "image-pull"],
  [/Evicted|Preempt|node (was )?(shut|lost)/iu, "eviction"],
  [/DeadlineExceeded|deadline/iu, "deadline"],
  [/Insufficient|Unschedulable|FailedScheduling|capacity/iu, "capacity"],
  [/reveal|secret .*(not found|denied|missing)/iu, "refused-secret"]
]

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

/** The kind of an end that the agent had to report; `gone` for a job of which nothing is left. */
export const categoryOf = (
  exit: Exit | undefined,
  { deadline, gone }: { readonly deadline: boolean; readonly gone: boolean }
): Category => {
  if (deadline) return "deadline"
  if (gone) return "lost"
  if (exit === undefined) return "exit-code"
  // Only the platform's words count here, not ours for what the code usually means.
  const words = exit.text.replace(meaning[exit.code ?? 0] ?? "", "")
  const worded = byWords.find(([pattern]) => pattern.test(words))
  if (worded !== undefined) return worded[1]
  if (exit.code === 0) return "unreported"
  return (exit.code === undefined ? undefined : byCode[exit.code]) ?? "exit-code"
}

/** Why a job has not started yet, in the platform's words. */
export const troubleOf = (execution: JobExecution | undefined): string | undefined => {
  const words = [
    execution?.message,
    ...Object.values(execution?.containers ?? {}).map((container) => container.message)
  ].filter((each): each is string => typeof each === "string" && each !== "")
  return words.length === 0 ? undefined : [...new Set(words)].join(" · ")
}
