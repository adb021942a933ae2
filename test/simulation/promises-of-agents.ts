/**
 * The promises about what agents leave alone, use up, and say: I9, I10, I11 and I13. I12 is that all of them hold for any
 * number of replicas with clocks of their own, pauses and restarts, which the plans differ in.
 *
 * Invariant: what is ours is told by the tags in the chronicle alone.
 */
import type { Entry } from "../runs/world/chronicle.ts"
import { byAgent, type Evidence, type JobLife } from "./evidence.ts"
import type { Plan } from "./plan.ts"
import type { Check, Finding } from "./promise.ts"
import { poolId } from "../runs/world/world.ts"

const isOurs = (tags: Readonly<Record<string, unknown>>): boolean =>
  tags["prefect.io/work-pool-id"] === poolId

const othersAreLeftAlone: Check = {
  promise: "I9",
  name: "nothing that is not ours is written, stopped or deleted",
  bound: "ours are the runs of our pool, and workloads and commands with its id",
  find: ({ entries, jobs, runs }) => {
    const ids = new Set(runs.map(({ id }) => id))
    const tagsOf = new Map(jobs.map((job) => [job.id, job.tags]))
    return entries.flatMap((entry): ReadonlyArray<Finding> => {
      if (!byAgent(entry.by)) return []
      const wrong = (what: string, runId?: string) => [{ at: entry.at, runId, what: `${entry.by}: ${what}` }]
      switch (entry.what) {
        case "state":
          return ids.has(entry.runId) ? [] : wrong(`${entry.to.type} on the foreign run ${entry.runId}`)
        case "run changed":
          return ids.has(entry.runId) ? [] : wrong(`changed the foreign run ${entry.runId}`)
        case "job stop asked":
        case "job deleted":
          return isOurs(tagsOf.get(entry.commandId) ?? {}) ? [] : wrong(`${entry.what}: ${entry.commandId}`)
        case "workload changed":
        case "workload deleted":
          return isOurs(entry.tags) ? [] : wrong(`${entry.what}: ${entry.name}`)
        default:
          return []
      }
    })
  }
}

const liveWorkIsNeverDeleted: Check = {
  promise: "I9",
  name: "nothing with live work is deleted",
  bound: "at the moment of the deletion",
  find: ({ entries, jobs }) =>
    entries.flatMap((entry) => {
      if (!byAgent(entry.by)) return []
      if (entry.what !== "workload deleted" && entry.what !== "job deleted") return []
      const wasIn = (job: JobLife) =>
        "path" in entry ? job.workload === entry.path : job.id === entry.commandId
      const live = jobs.find(
        (job) => job.at <= entry.at && job.over >= entry.at && job.vanished && wasIn(job)
      )
      return live === undefined
        ? []
        : [{ at: entry.at, runId: live.runId, what: `${entry.by}: ${entry.what} with the live ${live.id}` }]
    })
}

/** In hours, unless the world says otherwise. */
const usualTtl = 24

const usedWorkloadsStay: Check = {
  promise: "I9",
  name: "a workload is deleted only when its last job has been over for the TTL",
  bound:
    "the TTL of clean-up, less 1.5 s for ages in whole seconds; from the end of the job, not from its start",
  find: ({ entries, jobs, plan }) => {
    const ttl = 3_600_000 * (plan.settings.cleanupTtl ?? usualTtl) - 1_500
    return entries.flatMap((entry) => {
      if (!byAgent(entry.by) || entry.what !== "workload deleted") return []
      const used = jobs.find(
        (job) => job.workload === entry.path && job.at <= entry.at && entry.at - job.over < ttl
      )
      return used === undefined
        ? []
        : [
            {
              at: entry.at,
              runId: used.runId,
              what: `${entry.by} deleted ${entry.name}, where ${used.id} was`
            }
          ]
    })
  }
}

const noJobForADatabase: Check = {
  promise: "I9",
  name: "a server that loses its runs costs no job",
  bound:
    "no job that worked is stopped after a database was reset, restored or split, a pool replaced, or most runs were deleted within 15 minutes: those wait for a person",
  find: ({ entries, plan, runs }) => {
    const changed = entries.find(
      (entry) => entry.what === "database" || (entry.what === "pool" && entry.how !== "changed")
    )?.at
    const deleted = runs.flatMap((run) => run.deletedAt ?? []).sort((a, b) => a - b)
    const most =
      plan.settings.maxDisruption === undefined && deleted.length > runs.length / 2 ? deleted[0] : undefined
    const from = changed ?? (runs.length > 5 ? most : undefined)
    if (from === undefined) return []
    return runs.flatMap((run) => {
      const last = run.states.findLast((state) => state.at <= from)
      if (last?.type !== "RUNNING" || (changed === undefined && run.deletedAt === undefined)) return []
      return run.jobs.flatMap((job) =>
        job.stops
          .filter((stop) => byAgent(stop.by) && stop.at > from && job.ran < from)
          .map((stop) => ({ at: stop.at, runId: run.id, what: `${job.id} was stopped by ${stop.by}` }))
      )
    })
  }
}

/**
 * Requests of one agent in a minute from `at` on: what the idle loops need, and a share for each run and for retries. Of a
 * run with two jobs each look sees all.
 */
const mostRequests = ({ plan, runs }: Evidence, at: number): number => {
  const { cancelInterval, queryInterval, watchInterval } = plan.settings
  const loops = 60 / queryInterval + 60 / cancelInterval + 4 * (60 / watchInterval) + 20
  const doubled = runs.filter(
    ({ jobs }) => jobs.filter((job) => job.at < at + 60_000 && job.over > at).length > 1
  )
  return 2 * loops + 20 * plan.runs.length + 60 + doubled.length * 3 * (60 / watchInterval)
}

const noHotLoop: Check = {
  promise: "I10",
  name: "no agent asks for more than its work needs",
  bound:
    "twice what its loops need in a minute, 20 requests for each run, 3 in each look at one with two jobs, and 60 for retries; as often as there were processes of its name",
  find: (evidence) =>
    [...evidence.requests].flatMap(([by, minutes]) =>
      minutes.flatMap((count, minute) => {
        const at = evidence.begin + minute * 60_000
        const twins = evidence.processes.filter(
          ({ from, name, to }) => `agent ${name}` === by && from < at + 60_000 && to > at
        )
        return count > Math.max(1, twins.length) * mostRequests(evidence, at)
          ? [{ at, runId: undefined, what: `${by} sent ${count} requests in a minute` }]
          : []
      })
    )
}

const limitHolds: Check = {
  promise: "I10",
  name: "no more jobs live than the limit allows",
  bound:
    "the limit for each agent that may launch: one that was killed leaves its jobs to its name, and its follower counts them only where it has the same; jobs are counted as answers show them, so that none may be old or lack a part",
  find: ({ plan, runs }) => {
    const jobs = runs.flatMap((run) => run.jobs)
    const { limit } = plan.settings
    // One agent with one link counts exactly; others may each have as many in flight.
    if (limit === undefined || plan.replicas > 1 || !plan.oneLink) return []
    const overlaps = plan.events.some(({ event }) => ["rolling restart", "twin"].includes(event.what))
    const most = overlaps ? 2 * limit : limit
    const isHidden = plan.events.some(({ event }) =>
      ["stale read", "late start", "lost page"].includes(event.what)
    )
    if (isHidden) return []
    return jobs.flatMap((job) => {
      const live = jobs.filter((each) => each.at <= job.at && each.over > job.at)
      return live.length > most
        ? [{ at: job.at, runId: job.runId, what: `${live.length} jobs lived with a limit of ${limit}` }]
        : []
    })
  }
}

const worldSettles: Check = {
  promise: "I11",
  name: "when trouble ends the world settles",
  bound: "an hour after the trouble no run is open and no job lives",
  find: ({ endedAt, runs, settledAt }) => {
    if (settledAt !== undefined) return []
    const open = runs
      .filter((run) => run.deletedAt === undefined)
      .map((run) => `${run.id} ${run.states.at(-1)?.name}`)
    return [{ at: endedAt, runId: undefined, what: `not settled: ${open.join(", ")}` }]
  }
}

const heartbeats = new Set(["worker seen"])

/** The container of a job whose record was taken away goes on unseen, and may open its run again. */
const engineWrote = ({ entries }: Evidence, from: number): boolean =>
  entries.some(({ at, by, what }) => by === "engine" && what === "state" && at > from)

const restIsQuiet: Check = {
  promise: "I11",
  name: "with nothing to do there are no writes but heartbeats",
  bound:
    "from the second sync after the world settled on; a job of a deleted run may live for longer, and is stopped once it can be",
  find: (evidence) => {
    const { entries, plan, runs, settledAt } = evidence
    if (settledAt === undefined || engineWrote(evidence, settledAt)) return []
    const from = settledAt + 2000 * plan.settings.interval
    const deleted = runs.filter((run) => run.deletedAt !== undefined)
    const left = new Set(deleted.flatMap((run) => run.jobs.map((job) => job.id)))
    const isStopOfLeft = (entry: Entry) => entry.what === "job stop asked" && left.has(entry.commandId)
    return entries
      .filter((entry) => entry.at > from && byAgent(entry.by) && !heartbeats.has(entry.what))
      .filter((entry) => !isStopOfLeft(entry))
      .map((entry) => ({
        at: entry.at,
        runId: "runId" in entry ? entry.runId : undefined,
        what: `${entry.by}: ${entry.what} although nothing was to do`
      }))
  }
}

const isOfRun = ({ runId }: JobLife, { runs }: Plan): boolean => runs.some(({ id }) => id === runId)

const idleIsCheap: Check = {
  promise: "I11",
  name: "with nothing to do the reads stay within the idle budget",
  bound:
    "the polls and cancel watches of a minute, and 15 more (75 with the usual settings), times 60 by the longest sync",
  find: (evidence) => {
    const { begin, endedAt, jobs, plan, requests, settledAt } = evidence
    if (settledAt === undefined || engineWrote(evidence, settledAt)) return []
    // The job of a deleted run may live on: it waits for a replica that could be stopped, or for a person.
    if (jobs.some((job) => isOfRun(job, plan) && job.over > settledAt)) return []
    const { cancelInterval, interval, queryInterval } = plan.settings
    const budget = 60 / queryInterval + 60 / cancelInterval + 15 * Math.max(1, 60 / interval)
    const [first, last] = [
      Math.ceil((settledAt - begin) / 60_000) + 2,
      Math.floor((endedAt - begin) / 60_000)
    ]
    return [...requests].flatMap(([by, minutes]) =>
      minutes.slice(first, last).flatMap((count, index) =>
        count > budget
          ? [
              {
                at: begin + (first + index) * 60_000,
                runId: undefined,
                what: `${by} sent ${count} requests in a minute with nothing to do; ${budget} are allowed`
              }
            ]
          : []
      )
    )
  }
}

const secretsStaySecret: Check = {
  promise: "I13",
  name: "no token or secret value is said",
  bound: "in no line, run log, state message or event",
  find: ({ endedAt, said, secrets }) => {
    for (const text of said) {
      const found = secrets.find((secret) => text.includes(secret))
      if (found !== undefined) return [{ at: endedAt, runId: undefined, what: `${found} was said: ${text}` }]
    }
    return []
  }
}

export const promisesOfAgents: ReadonlyArray<Check> = [
  othersAreLeftAlone,
  liveWorkIsNeverDeleted,
  usedWorkloadsStay,
  noJobForADatabase,
  noHotLoop,
  limitHolds,
  worldSettles,
  restIsQuiet,
  idleIsCheap,
  secretsStaySecret
]
