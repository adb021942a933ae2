/**
 * Where a workload is not what was sent for it.
 *
 * Invariant: pure. What was sent is compared, and beside it only what the service never fills in by itself; what merely
 * says the same in another form (links, quantities, an empty list that is left out) is no difference.
 */
import { isRecord, type JsonRecord } from "./json.ts"

/** Paths into the workload, such as `spec.job.restartPolicy`; none when everything that was sent is there. */
export const differences = (sent: unknown, there: unknown, path: string): ReadonlyArray<string> => {
  if (isRecord(sent)) {
    if (!isRecord(there)) return isEmpty(sent) && there == null ? [] : [path]
    return [
      ...Object.entries(sent).flatMap(([key, value]) => differences(value, there[key], `${path}.${key}`)),
      ...added(sent, there, path)
    ]
  }
  if (Array.isArray(sent)) {
    if (sent.length === 0 && there == null) return []
    if (!Array.isArray(there) || there.length !== sent.length) return [path]
    const found = inOrderOf(sent, there)
    return sent.flatMap((value, index) => differences(value, found[index], `${path}[${index}]`))
  }
  return sent === undefined || isSame(sent, there) ? [] : [path]
}

/** Fields of a container and of the job that have no default: where one stands, somebody put it there. */
const withoutDefault = [
  "activeDeadlineSeconds",
  "args",
  "command",
  "env",
  "lifecycle",
  "volumes",
  "workingDir"
]

const added = (sent: JsonRecord, there: JsonRecord, path: string): ReadonlyArray<string> =>
  /^spec\.(?:job|containers\[\d+\])$/u.test(path)
    ? withoutDefault
        .filter((key) => !Object.hasOwn(sent, key) && !isNothing(there[key]))
        .map((key) => `${path}.${key}`)
    : []

const isNothing = (value: unknown): boolean =>
  value == null || value === "" || (typeof value === "object" && isEmpty(value))

const isEmpty = (value: object): boolean => Object.keys(value).length === 0

const nameOf = (value: unknown): unknown => (isRecord(value) ? value["name"] : undefined)

/** Items with names are told by them, whatever their order. */
const inOrderOf = (sent: ReadonlyArray<unknown>, there: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
  sent.map((value, index) =>
    nameOf(value) === undefined ? there[index] : there.find((each) => nameOf(each) === nameOf(value))
  )

const isSame = (sent: unknown, there: unknown): boolean => {
  if (sent === there || (sent === false && there == null)) return true
  if (typeof sent !== "string" || !["string", "number", "boolean"].includes(typeof there)) return false
  const text = String(there)
  return (
    text === sent ||
    isSameLink(sent, text) ||
    (quantity(sent) !== undefined && quantity(sent) === quantity(text))
  )
}

/** `/org/O/gvc/G/identity/i`, `//gvc/G/identity/i` and `//identity/i`: the shorter one leaves out what goes without saying. */
const isSameLink = (a: string, b: string): boolean => {
  if (!a.startsWith("/") || !b.startsWith("/")) return false
  const [left, right] = [a.replace(/^\/+/u, "/"), b.replace(/^\/+/u, "/")]
  return (b.startsWith("//") && left.endsWith(right)) || (a.startsWith("//") && right.endsWith(left))
}

const units: Readonly<Record<string, number>> = {
  "": 1,
  m: 0.001,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30
}

const quantity = (text: string): number | undefined => {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)([A-Za-z]*)$/u.exec(text) ?? []
  const factor = units[unit]
  return number === undefined || factor === undefined ? undefined : Math.round(Number(number) * factor * 1e6)
}
