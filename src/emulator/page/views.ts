/**
 * The pages: all workloads, one workload with its runs and output, one run. Read from the stores, never written.
 *
 * Invariant: a page shows a bounded number of things, the newest ones, and says when there are more.
 */
import { type Fault, faultView } from "../faults/faults.ts"
import type { StoredLine } from "../logs/log-store.ts"
import { at, isObject, type Json, textOf } from "../json.ts"
import { type Command, executionOf, type Resource, runType, type Store } from "../store.ts"
import { isReady, isSuspended, locationStates } from "../workload/readiness.ts"
import { markup, type Html } from "./html.ts"
import { moment, row, state, table } from "./layout.ts"

/** Commands and lines on one page. */
export const mostCommands = 50
export const mostLines = 300

type Reads = Store["Service"]

const workloadPage = ({ path }: Resource): string => `/page${path}`
const commandPage = ({ workload, id }: Command): string => `/page${workload}/command/${id}`

const isLive = ({ run }: Command): boolean => run.completionTime === undefined

/** Runs of a workload, newest first: by command and by schedule. */
export const runsOf = ({ path }: Resource, store: Reads): ReadonlyArray<Command> =>
  [...new Set([...store.commands(path).values(), ...store.liveRuns(path).values(), ...store.history(path)])]
    .filter(({ type }) => type === runType)
    .sort((a, b) => b.order - a.order)

const readiness = (workload: Resource, store: Reads): Html => {
  const states = locationStates(workload, store)
  return state(states.length > 0 && states.every(isReady) ? "ready" : "not ready")
}

const exitCodes = ({ run }: Command): string =>
  Object.entries(run.containers)
    .flatMap(([name, { exitCode, reason }]) =>
      exitCode === undefined ? [] : [`${name}: ${exitCode}${reason === undefined ? "" : ` ${reason}`}`]
    )
    .join(", ")

const whyOf = ({ run }: Command): string =>
  run.message ?? Object.values(run.containers).find(({ message }) => message !== undefined)?.message ?? ""

const commandRow = (command: Command, withWorkload: boolean): Html =>
  row(
    markup`<a class="mono" href="${commandPage(command)}">${executionOf(command).replace("command-", "")}</a>`,
    ...(withWorkload
      ? [markup`<a href="/page${command.workload}">${command.workload.split("/").at(-1)}</a>`]
      : []),
    state(command.run.stage),
    moment(command.created),
    moment(command.run.startTime),
    moment(command.run.completionTime),
    exitCodes(command),
    whyOf(command)
  )

const commandHeads = (withWorkload: boolean) => [
  "Run",
  ...(withWorkload ? ["Workload"] : []),
  "Stage",
  "Asked",
  "Started",
  "Ended",
  "Exit codes",
  "Message"
]

const more = (count: number, most: number): Html | undefined =>
  count > most ? markup`<p class="none">The newest ${most} of ${count}.</p>` : undefined

const faultsView = (faults: ReadonlyArray<Fault>): Html | undefined =>
  faults.length === 0
    ? undefined
    : markup`<h2>Faults</h2>
        ${table(
          ["Fault", "Fired", "As asked for"],
          faults.map((fault) =>
            row(fault.rule.what, fault.fired, markup`<code>${JSON.stringify(faultView(fault))}</code>`)
          ),
          ""
        )}`

export const overview = (store: Reads, faults: ReadonlyArray<Fault>, url: string): Html => {
  const workloads = store.orgs.flatMap((org) => store.listKind(org, "workload"))
  const runs = workloads.flatMap((workload) => runsOf(workload, store)).sort((a, b) => b.order - a.order)
  return markup`<h1>Control Plane emulator</h1>
    <p class="mono">${url}</p>
    <h2>Workloads</h2>
    ${table(
      ["Workload", "Org", "GVC", "Type", "Deployment", "Suspended", "Live runs", "Last run"],
      workloads.map((workload) => {
        const mine = runsOf(workload, store)
        const [last] = mine
        return row(
          markup`<a href="${workloadPage(workload)}">${workload.name}</a>`,
          workload.org,
          workload.gvc,
          textOf(at(workload.body, ["spec", "type"])) ?? "",
          readiness(workload, store),
          isSuspended(workload.body) ? "yes" : "",
          mine.filter(isLive).length,
          last === undefined ? undefined : state(last.run.stage)
        )
      }),
      "There are no workloads. `cpln apply` or the agent makes them."
    )}
    <h2>Runs</h2>
    ${table(
      commandHeads(true),
      runs.slice(0, mostCommands).map((run) => commandRow(run, true)),
      "Nothing has run yet."
    )}
    ${more(runs.length, mostCommands)} ${faultsView(faults)}
    <footer>Times are in UTC. This page reads itself again every few seconds.</footer>`
}

/** In a `pre`, where every space and line break is meant. */
const lineView = ({ at, labels, line }: StoredLine): Html => {
  const time = new Date(Number(at / 1_000_000n)).toISOString().slice(11, 23)
  const text = labels["stream"] === "stderr" ? markup`<b>${line}</b>` : line
  return markup`<span>${time} ${labels["container"]} </span> ${text}\n`
}

const outputView = (lines: ReadonlyArray<StoredLine>): Html =>
  lines.length === 0
    ? markup`<p class="none">No output.</p>`
    : markup`<pre class="log">${lines.map(lineView)}</pre>
        ${lines.length >= mostLines ? markup`<p class="none">The newest ${mostLines} lines.</p>` : undefined}`

const back = markup`<p><a href="/">← all workloads</a></p>`

/** A specification with the names of variables only: their values may be secrets. */
const withoutValues = (spec: Json | undefined): string =>
  JSON.stringify(
    spec ?? {},
    (key, value: unknown) =>
      key === "env" && Array.isArray(value)
        ? value.map((each: unknown) => (isObject(each) ? each["name"] : each))
        : value,
    2
  )

export const workloadView = (workload: Resource, store: Reads, lines: ReadonlyArray<StoredLine>): Html => {
  const runs = runsOf(workload, store)
  const served = store.replicas(workload.path) ?? []
  return markup`${back}
    <h1>${workload.name}</h1>
    <p class="mono">${workload.path}</p>
    <p>
      ${textOf(at(workload.body, ["spec", "type"]))}, version ${workload.version},
      ${readiness(workload, store)}${isSuspended(workload.body) ? ", suspended" : undefined}
    </p>
    ${
      served.length === 0
        ? undefined
        : markup`<h2>Replicas</h2>
            ${table(
              ["Replica", "Location", "Containers"],
              served.map(({ name, location, containers }) =>
                row(
                  markup`<span class="mono">${name}</span>`,
                  location,
                  Object.entries(containers)
                    .map(([container, { ready, restarts }]) =>
                      [container, ready ? "ready" : "not ready", restarts > 0 ? `${restarts} restarts` : ""]
                        .filter((word) => word !== "")
                        .join(" ")
                    )
                    .join(", ")
                )
              ),
              ""
            )}`
    }
    <h2>Runs</h2>
    ${table(
      commandHeads(false),
      runs.slice(0, mostCommands).map((run) => commandRow(run, false)),
      "Nothing has run yet."
    )}
    ${more(runs.length, mostCommands)}
    <h2>Output</h2>
    ${outputView(lines)}
    <h2>Specification</h2>
    <pre>${withoutValues(workload.body["spec"])}</pre>`
}

export const commandView = (workload: Resource, command: Command, lines: ReadonlyArray<StoredLine>): Html =>
  markup`<p><a href="${workloadPage(workload)}">← ${workload.name}</a></p>
    <h1>${executionOf(command)}</h1>
    ${table(commandHeads(false), [commandRow(command, false)], "")}
    <p>Replica: <span class="mono">${command.run.replica ?? "none"}</span>, ${command.location}</p>
    <h2>Tags</h2>
    ${table(
      ["Tag", "Value"],
      Object.entries(command.tags).map(([tag, value]) => row(tag, String(value))),
      "None."
    )}
    <h2>Output</h2>
    ${outputView(lines)}
    <h2>Asked for</h2>
    <pre>${withoutValues(command.spec)}</pre>`
