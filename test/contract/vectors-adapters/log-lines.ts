/**
 * Adapter for `log-lines.json`. Lines are judged in the documented form `[CPLN] <Area> | …`, which the reference writes
 * with an `Infrastructure > ` in between.
 *
 * Invariant: the three families that bind are judged; the others are for information, and only have to be readable.
 */
import { type Area, areas, logLine } from "../../../src/job/log-line.ts"
import { judge } from "./compare.ts"
import { eachCase, isObject, type JsonObject, objectOf, textOf } from "./vector.ts"

export const run = eachCase((each) => {
  switch (each.family) {
    case "adapter":
      return judge(each, { output: { line: adapterLine(each.input) } }, { binding: documented })
    case "agent-sync":
      return judge(each, { output: { line: formLine(each.input) } }, { binding: documented })
    case "documented-filter": {
      const filter = textOf(each.input["contains"]) ?? ""
      const matchesLines = areas.some((area) => logLine(area, {}, "message").includes(filter))
      return judge(each, { output: { matchesLines } })
    }
    default:
      return isObject(each.output) ? [] : ["/output: expected a mapping"]
  }
})

const documented = ({ line }: JsonObject) =>
  (textOf(line) ?? "").replace(/^\[CPLN\] Infrastructure > /u, "[CPLN] ")

/** The form of a line is the same for areas that only the reference has. */
const areaOf = (text: string) => text as Area

const adapterLine = (input: JsonObject): string => {
  const labels = objectOf(input["labels"])
  return logLine(
    areaOf(textOf(input["area"]) ?? ""),
    {
      flow: textOf(labels["prefect.io/flow-name"]),
      runId: textOf(labels["prefect.io/flow-run-id"]),
      gvc: textOf(input["gvc"]),
      workload: textOf(input["workload"]),
      command: textOf(input["commandId"])
    },
    textOf(input["message"]) ?? ""
  )
}

/** `[CPLN] AREA > text with {fields}`. */
const formLine = (input: JsonObject): string => {
  const [, area = "", text = ""] = /^\[CPLN\] (.*?) > (.*)$/su.exec(textOf(input["form"]) ?? "") ?? []
  const fields = objectOf(input["fields"])
  const message = text.replaceAll(/\{(\w+)\}/gu, (whole, name: string) =>
    Object.hasOwn(fields, name) ? String(fields[name]) : whole
  )
  return logLine(areaOf(area), {}, message)
}
