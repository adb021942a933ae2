/**
 * References to secrets, and which secrets a job needs.
 *
 * Invariant: whatever a container or a volume refers to stands in the list that the job's policy is made of, once each,
 * in the order of first use. Config maps do not exist on the platform: a dictionary secret of the same name stands in.
 */
import { isResourceName } from "../limits.ts"
import type { Report } from "./report.ts"
import { shown } from "./read.ts"

export const secretPrefix = "cpln://secret/"

/** `cpln://secret/NAME`, or `cpln://secret/NAME.KEY`. */
export const secretReference = (name: string, key?: string): string =>
  `${secretPrefix}${name}${key === undefined ? "" : `.${key}`}`

/** The name inside `cpln://secret/NAME.KEY`; undefined for any other text. */
export const secretInReference = (text: string): string | undefined =>
  text.startsWith(secretPrefix) ? text.slice(secretPrefix.length).split(".", 1)[0] : undefined

/** True when the name can be one of a secret or a volume set; a problem otherwise. */
export const checkName = (report: Report, path: string, name: string): boolean => {
  if (isResourceName(name)) return true
  report.refuse(
    path,
    `${shown(name)} is no name of an object of the platform: lower-case letters, digits and dashes, a letter first, at most 63.`,
    "Name the secret or volume set as it is called in the org."
  )
  return false
}
