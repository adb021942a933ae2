/**
 * The Job's labels become tags of the command.
 *
 * Invariant: with the agent's own tags there are never more than the platform takes, and Prefect's labels go first.
 */
import { longestTagValue, mostTags, ownTags } from "../limits.ts"
import { below, kindOf, mappingIn, member, type Node, pathOf } from "./read.ts"

/** Texts by key. A manifest without labels is refused, as by the reference: its users always have them. */
export const convertLabels = (metadata: Node): Readonly<Record<string, string>> => {
  const { report } = metadata
  const path = pathOf(metadata, "labels")
  const labels = mappingIn(metadata, "labels")
  if (labels === undefined) {
    const given = member(metadata.value, "labels")
    if (given === undefined || given === null) report.refuse(path, "is missing.", "Write labels: {}.")
    return {}
  }
  const entries = Object.entries(labels.value).flatMap(([key, value]) => {
    const text = labelText(value)
    if (text === undefined) {
      report.refuse(below(path, key), `must be a text, not ${kindOf(value)}.`, "Put it in quotes.")
      return []
    }
    if (text.length <= longestTagValue) return [[key, text] as const]
    report.warn(below(path, key), `cut to ${longestTagValue} of its ${text.length} characters.`)
    return [[key, text.slice(0, longestTagValue)] as const]
  })
  const most = mostTags - ownTags
  if (entries.length <= most) return Object.fromEntries(entries)
  const isPrefects = ([key]: readonly [string, string]) => key.startsWith("prefect.io/")
  const ordered = [...entries.filter(isPrefects), ...entries.filter((each) => !isPrefects(each))]
  report.warn(
    path,
    `${entries.length} labels are more than a command may have tags; left out: ${ordered
      .slice(most)
      .map(([key]) => key)
      .join(", ")
      .slice(0, 500)}`
  )
  return Object.fromEntries(ordered.slice(0, most))
}

const labelText = (value: unknown): string | undefined => {
  if (value === null) return ""
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : undefined
}
