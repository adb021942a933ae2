/**
 * Which permissions there are, and which of them imply others. Pure.
 *
 * Invariant: a permission implies itself and `manage` implies every other one of its kind; nothing implies a permission of
 * another kind.
 */

/** What holds for kinds that have nothing of their own. */
const usual: Readonly<Record<string, ReadonlyArray<string>>> = { edit: ["view"], use: ["view"] }

const own: Readonly<Record<string, Readonly<Record<string, ReadonlyArray<string>>>>> = {
  workload: { ...usual, exec: ["exec.runCronWorkload", "exec.stopReplica"] },
  org: { ...usual, exec: ["exec.echo"], readLogs: ["view"] },
  secret: { ...usual, reveal: ["view"] },
  image: { ...usual, pull: ["view"] },
  serviceaccount: { ...usual, addKey: ["view"] }
}

/** Whether somebody who was given one permission on a kind has the other. */
export const implies = (kind: string, given: string, wanted: string): boolean =>
  given === wanted || given === "manage" || (own[kind] ?? usual)[given]?.includes(wanted) === true

/** The words of a 403; the service names what is missing in this way. */
export const missing = (permission: string, kind: string, place: string): string =>
  `requires permission "${permission}" in ${kind}${place === "" ? "" : ` ${place}`}`
