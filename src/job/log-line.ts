/**
 * The one form of every line that is about Control Plane; users filter by its areas and ids.
 *
 * Invariant: `[CPLN] <Area> | Flow: …, RunID: …, GVC: …, Workload: …, Cmd: … > <message>`; unknown fields are left out
 * with their comma, and without any field ` | …` goes too.
 */

export const areas = [
  "Job",
  "Workload",
  "Sync CPLN→Prefect",
  "Sync Prefect→CPLN",
  "Kill",
  "Cleanup",
  "Logs",
  "Init"
] as const

export type Area = (typeof areas)[number]

export interface LogFields {
  readonly flow?: string | undefined
  readonly runId?: string | undefined
  readonly gvc?: string | undefined
  readonly workload?: string | undefined
  readonly command?: string | undefined
}

export const logLine = (area: Area, fields: LogFields, message: string): string => {
  const known = [
    ["Flow", fields.flow],
    ["RunID", fields.runId],
    ["GVC", fields.gvc],
    ["Workload", fields.workload],
    ["Cmd", fields.command]
  ].flatMap(([name, value]) => (value ? [`${name}: ${value}`] : []))
  return `[CPLN] ${area}${known.length === 0 ? "" : ` | ${known.join(", ")}`} > ${message}`
}
