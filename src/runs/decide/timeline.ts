/** Where the time of a run went, as one line for people: `queued 0.8 s · image 14 s · start 9 s · ran 3 m 10 s · exit 0`. */
import type { JobExecution } from "../../cpln/schemas.ts"
import { duration } from "../../observe/duration.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import { timeOf } from "./phase.ts"

/** How far the services' clocks may be apart, in ms. */
const clocksDiffer = 10_000

/**
 * `created` is the command's. The parts are from due to command, from command to container, from container to the flow's
 * first RUNNING, and from there to its end; what a service did not say is left out.
 */
export const timeline = (
  run: FlowRun,
  created: string | undefined,
  execution: JobExecution | undefined,
  exit: number | undefined
): string => {
  const over = run.end_time ?? execution?.completionTime
  const started = timeOf(run.start_time)
  const begun = timeOf(created ?? execution?.startTime)
  // The run's own times are those of its first start: that may have been in another job, before its count began anew with a
  // retry by hand, or never, when 3.x gives it that of its end.
  const isFirst =
    run.run_count <= 1 && (started === undefined || begun === undefined || started >= begun - clocksDiffer)
  const marks = isFirst
    ? ([
        ["queued", run.expected_start_time, created],
        ["image", created, execution?.startTime],
        ...(run.run_count === 0
          ? []
          : ([
              ["start", execution?.startTime, run.start_time],
              ["ran", run.start_time, over]
            ] as const))
      ] as const)
    : ([
        ["image", created, execution?.startTime],
        ["ran", execution?.startTime, over]
      ] as const)
  const parts = marks.flatMap(([name, from, to]) => {
    const [begin, end] = [timeOf(from), timeOf(to)]
    return begin === undefined || end === undefined ? [] : [`${name} ${duration(Math.max(0, end - begin))}`]
  })
  return [...parts, ...(exit === undefined ? [] : [`exit ${exit}`])].join(" · ")
}
