/** How the end of a job reads, for a person and for a program. Pure. */
import type { Result } from "./run.ts"
import type { Ending } from "./watch.ts"

/** The word for the result, as programs get it. */
export const stateOf = (result: Result): string =>
  result._tag === "Ended" ? result.ending.state : result._tag.toLowerCase()

/** True when the command line is to end with exit code 0. */
export const isGood = (result: Result): boolean =>
  result._tag === "Detached" ||
  (result._tag === "Left" && result.commandId !== undefined) ||
  (result._tag === "Ended" && result.ending.state === "completed")

/** Whoever stopped the job needs no advice on why it ended. */
export const endingOf = (result: Result): Ending | undefined => {
  if (result._tag === "Ended") return result.ending
  return result._tag === "Stopped" && result.ending !== undefined
    ? { ...result.ending, advice: undefined }
    : undefined
}

/** One or two lines. */
export const wordsOf = (result: Result): string => {
  const job = `Job${result.commandId === undefined ? "" : ` ${result.commandId}`}`
  switch (result._tag) {
    case "Detached":
      return `${job} runs on.`
    case "Left":
      return result.commandId === undefined ? "The job was not started." : `${job} is left running.`
    case "Stopped": {
      if (result.commandId === undefined) return `The job was not started: ${result.why}.`
      return result.ending === undefined
        ? `${job} is being stopped (${result.why}); its end was not waited for.`
        : `${job} was stopped: ${result.why}.`
    }
    case "Ended":
      return endingWords(job, result.ending)
  }
}

const endingWords = (job: string, { advice, category, reason, state }: Ending): string => {
  if (state === "completed") return `${job} completed.`
  const what = state === "lost" ? "is lost" : state === "cancelled" ? "was cancelled" : "failed"
  return `${job} ${what}: ${reason ?? "the platform gave no reason"}.${
    category === undefined || advice === undefined ? "" : `\n  [${category}] ${advice}`
  }`
}
