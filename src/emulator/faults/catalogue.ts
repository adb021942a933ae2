/**
 * Every fault that the emulator knows, and what can be set of each: one table for the flag, the control route, the scenario
 * file and the documentation.
 *
 * Invariant: a fault that is not here cannot be asked for, and a parameter always has a value within its bounds. Times are
 * in seconds here, as people write them.
 */

/** What a fault happens to, which decides what it can be narrowed to. */
export type Point = "request" | "run" | "line" | "tail"

export type Parameter =
  | { readonly _tag: "Number"; readonly usual: number; readonly least: number; readonly most: number }
  | { readonly _tag: "Word"; readonly usual: string; readonly words: ReadonlyArray<string> }
  | { readonly _tag: "Text"; readonly usual: string }

export interface FaultKind {
  readonly point: Point
  readonly help: string
  readonly parameters: Readonly<Record<string, Parameter>>
}

const day = 86_400
const number = (usual: number, least: number, most: number): Parameter => ({
  _tag: "Number",
  usual,
  least,
  most
})
const seconds = (usual: number) => number(usual, 0, day)
const word = <const W extends ReadonlyArray<string>>(usual: W[number], words: W): Parameter => ({
  _tag: "Word",
  usual,
  words
})
const text = (usual: string): Parameter => ({ _tag: "Text", usual })
const jittered = (usual: number, jitter = 0) => ({ seconds: seconds(usual), jitter: seconds(jitter) })
const when = word("before", ["before", "after"])

/** A status that clients take for a failure of the service. */
const serverError = number(503, 500, 599)

export const catalogue = {
  latency: { point: "request", help: "the answer comes later", parameters: jittered(0.1) },
  "server-error": {
    point: "request",
    help: "a 5xx before anything happened, or after it was done",
    parameters: { status: serverError, when, message: text("the service is temporarily unavailable") }
  },
  "rate-limited": {
    point: "request",
    help: "a 429; with Retry-After when that is over 0 seconds",
    parameters: { retryAfter: seconds(0) }
  },
  quota: { point: "request", help: "a 429 that is not worth a retry", parameters: {} },
  dropped: {
    point: "request",
    help: "the connection breaks before anything happened, or after it was done",
    parameters: { when }
  },
  truncated: { point: "request", help: "the connection breaks in the middle of the answer", parameters: {} },
  garbled: { point: "request", help: "a 200 with a page of HTML, after it was done", parameters: {} },
  "stale-read": {
    point: "request",
    help: "a read answers as of so many seconds ago",
    parameters: { seconds: number(1, 0, 3600) }
  },
  "lost-page": { point: "request", help: "a list ends with this page", parameters: {} },
  "short-history": {
    point: "request",
    help: "deployments tell of so many finished executions only",
    parameters: { limit: number(0, 0, 10) }
  },
  "unknown-stage": {
    point: "request",
    help: "commands are read in a stage that no schema has",
    parameters: { stage: text("draining") }
  },
  "start-delay": { point: "run", help: "the run stays pending for longer", parameters: jittered(5) },
  "image-pull": {
    point: "run",
    help: "there is a replica, but its image takes time",
    parameters: jittered(5)
  },
  "image-failure": {
    point: "run",
    help: "the image cannot be pulled: pending until it is stopped",
    parameters: { message: text("ImagePullBackOff: the image cannot be pulled") }
  },
  capacity: {
    point: "run",
    help: "no node has room for so long",
    parameters: { ...jittered(30), message: text("0/3 nodes are available: 3 Insufficient cpu") }
  },
  "late-kill": {
    point: "run",
    help: "past its deadline the job hears nothing, and is killed so much later",
    parameters: jittered(91, 32)
  },
  oom: {
    point: "run",
    help: "killed so long after its start: exit code 137, reason OOMKilled",
    parameters: jittered(1)
  },
  eviction: { point: "run", help: "its pod is taken away so long after its start", parameters: jittered(1) },
  vanished: {
    point: "run",
    help: "command and pod are gone without a word so long after the start",
    parameters: jittered(1)
  },
  sidecar: {
    point: "run",
    help: "all containers but the first stay until the pod is killed",
    parameters: {}
  },
  "pre-stop": { point: "run", help: "from a stop to SIGTERM", parameters: { seconds: seconds(45) } },
  grace: { point: "run", help: "from a stop to SIGKILL", parameters: { seconds: seconds(90) } },
  "pre-stop-failure": { point: "run", help: "SIGKILL at once, since preStop failed", parameters: {} },
  deaf: { point: "run", help: "SIGTERM changes nothing; SIGKILL does", parameters: {} },
  "stop-ignored": {
    point: "run",
    help: "a stop is taken and nothing comes of it; the stop ends in this stage",
    parameters: { stage: word("completed", ["completed", "failed", "cancelled", "pending"]) }
  },
  "cancellation-requested": {
    point: "run",
    help: "a stopped run is in that stage for so long before its pod hears of it; it ends cancelled",
    parameters: { seconds: seconds(1) }
  },
  corrected: {
    point: "run",
    help: "failed becomes completed so much later",
    parameters: { seconds: seconds(2) }
  },
  forgotten: {
    point: "run",
    help: "a finished command is gone so much later",
    parameters: { seconds: seconds(0) }
  },
  "log-lag": { point: "line", help: "lines arrive later than they were printed", parameters: jittered(10) },
  "log-doubled": { point: "line", help: "lines arrive twice", parameters: {} },
  "log-disorder": {
    point: "line",
    help: "lines arrive after ones that were printed up to so much later",
    parameters: { seconds: seconds(0.5) }
  },
  "log-rate-limit": {
    point: "line",
    help: "of more than so many lines a second the rest is lost, and a line says so",
    parameters: { lines: number(10_000, 1, 1_000_000) }
  },
  "tail-cut": {
    point: "tail",
    help: "a live tail ends after so long; abrupt is without a closing handshake",
    parameters: { ...jittered(5), how: word("closed", ["closed", "abrupt"]) }
  },
  "tail-refused": {
    point: "tail",
    help: "the upgrade is refused with this status",
    parameters: { status: number(503, 400, 599) }
  }
} as const satisfies Readonly<Record<string, FaultKind>>

export type What = keyof typeof catalogue

export const kinds: Readonly<Record<What, FaultKind>> = catalogue

export const isWhat = (name: string): name is What => Object.hasOwn(kinds, name)

/** What faults of each point can be narrowed to. */
export const subjects: Readonly<Record<Point, ReadonlyArray<string>>> = {
  request: ["method", "path", "workload", "tag"],
  run: ["workload", "tag"],
  line: ["workload", "container", "tag"],
  tail: ["path", "workload"]
}
