/**
 * Queries and pages: which objects match, in which order, and where the next page begins. Pure.
 *
 * Invariant: a cursor says all that is needed to go on (the query and the last object's place), so that the next page is
 * a plain GET and objects that come or go between two pages make none of the others appear twice or be missed.
 */
import { Result } from "effect"
import { isObject, type Json, type JsonObject, listOf, objectOf, textOf } from "./json.ts"

/** What a query can ask of objects of one kind. One reader for all of them: queries look at thousands. */
export interface Reader<A> {
  readonly property: (item: A, path: string) => Json | undefined
  readonly tag: (item: A, name: string) => Json | undefined
  /** The bare name of what it belongs to, such as its GVC. */
  readonly rel: (item: A, name: string) => string | undefined
}

/** `order` grows with creation. */
interface Ordered {
  readonly order: number
}

interface Term {
  readonly op: string
  readonly on: "property" | "rel" | "tag"
  readonly key: string
  readonly value: string | undefined
}

export interface Query {
  readonly match: "all" | "any" | "none"
  readonly terms: ReadonlyArray<Term>
  readonly sort: { readonly by: string; readonly order: "asc" | "desc" } | undefined
  readonly fetch: "items" | "links"
  /** As it was sent, for the answer and the cursor. */
  readonly source: JsonObject
}

const operators = ["=", "!=", ">", ">=", "<", "<=", "~", "=~", "contains", "exists", "!exists"]
const subjects = ["property", "rel", "tag"] as const

const termOf = (value: Json): Result.Result<Term, string> => {
  const term = objectOf(value)
  const on = subjects.filter((each) => term[each] !== undefined)
  const op = term["op"] === undefined ? "=" : textOf(term["op"])
  const key = on[0] === undefined ? undefined : textOf(term[on[0]])
  if (on.length !== 1 || key === undefined) {
    return Result.fail("a query term needs exactly one of property, rel and tag")
  }
  if (op === undefined || !operators.includes(op)) {
    return Result.fail(`"${JSON.stringify(term["op"])}" is no operator: use one of ${operators.join(" ")}`)
  }
  const given = term["value"]
  const isPlain = typeof given === "string" || typeof given === "number" || typeof given === "boolean"
  if (!op.endsWith("exists") && !isPlain) return Result.fail(`the term on ${key} needs a value`)
  return Result.succeed({ op, on: on[0]!, key, value: isPlain ? String(given) : undefined })
}

/** Reads the body of a `-query`, or says what is wrong with it. */
export const queryOf = (body: Json): Result.Result<Query, string> => {
  if (!isObject(body)) return Result.fail("a query is an object")
  const spec = objectOf(body["spec"])
  const match = textOf(spec["match"] ?? "all")
  if (match !== "all" && match !== "any" && match !== "none") {
    return Result.fail("spec.match must be one of [all, any, none]")
  }
  const fetch = textOf(body["fetch"] ?? "items")
  if (fetch !== "items" && fetch !== "links") return Result.fail("fetch must be one of [items, links]")
  if (spec["terms"] !== undefined && !Array.isArray(spec["terms"]))
    return Result.fail("spec.terms must be a list")
  const terms: Array<Term> = []
  for (const each of listOf(spec["terms"])) {
    const term = termOf(each)
    if (Result.isFailure(term)) return Result.fail(term.failure)
    terms.push(term.success)
  }
  const by = textOf(objectOf(spec["sort"])["by"])
  const order = objectOf(spec["sort"])["order"] ?? "asc"
  if (order !== "asc" && order !== "desc") return Result.fail("spec.sort.order must be one of [asc, desc]")
  const sort = by === undefined ? undefined : { by, order: order as "asc" | "desc" }
  return Result.succeed({ match, terms, sort, fetch, source: body })
}

/** Every object in order of creation. */
export const everything: Query = { match: "all", terms: [], sort: undefined, fetch: "items", source: {} }

const text = (value: Json): string => (typeof value === "object" ? JSON.stringify(value) : String(value))

const compare = (a: string, b: string): number => {
  const [x, y] = [Number(a), Number(b)]
  if (a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y)) return x - y
  return a < b ? -1 : a > b ? 1 : 0
}

const holds = <A>(item: A, read: Reader<A>, { op, on, key, value = "" }: Term): boolean => {
  const found = read[on](item, key)
  if (op === "exists") return found !== undefined
  if (op === "!exists") return found === undefined
  if (found === undefined) return op === "!="
  const here = text(found)
  switch (op) {
    case "=":
      return here === value
    case "!=":
      return here !== value
    case ">":
      return compare(here, value) > 0
    case ">=":
      return compare(here, value) >= 0
    case "<":
      return compare(here, value) < 0
    case "<=":
      return compare(here, value) <= 0
    case "contains":
      return Array.isArray(found) ? found.includes(value) : here.includes(value)
    default:
      return here.includes(value)
  }
}

/** Whether it is one of those that are asked for. */
export const matches = <A>(item: A, read: Reader<A>, { match, terms }: Query): boolean => {
  if (terms.length === 0) return true
  if (match === "all") return terms.every((term) => holds(item, read, term))
  const any = terms.some((term) => holds(item, read, term))
  return match === "any" ? any : !any
}

interface Place {
  readonly key: string
  readonly order: number
}

const placeOf = <A extends Ordered>(item: A, read: Reader<A>, { sort }: Query): Place => ({
  key: sort === undefined ? "" : text(read.property(item, sort.by) ?? ""),
  order: item.order
})

const byPlace = (query: Query) => {
  const sign = query.sort?.order === "desc" ? -1 : 1
  return (a: Place, b: Place) => sign * (compare(a.key, b.key) || a.order - b.order)
}

export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly next: string | undefined
}

const encode = (query: Query, { key, order }: Place): string =>
  Buffer.from(JSON.stringify({ query: query.source, key, order })).toString("base64url")

/** What a `next` link carries, or undefined when it was tampered with. */
export const cursorOf = (cursor: string): { readonly query: Query; readonly after: Place } | undefined => {
  try {
    const { query, key, order } = JSON.parse(Buffer.from(cursor, "base64url").toString()) as Record<
      string,
      Json
    >
    const read = queryOf(query ?? {})
    if (Result.isFailure(read) || typeof key !== "string" || typeof order !== "number") return undefined
    return { query: read.success, after: { key, order } }
  } catch {
    return undefined
  }
}

/** One page of those that match, after the given place. `all` comes in order of creation. */
export const pageOf = <A extends Ordered>(
  all: Iterable<A>,
  read: Reader<A>,
  query: Query,
  size: number,
  after?: Place
): Page<A> => {
  const order = byPlace(query)
  const isSorted = query.sort !== undefined
  const found: Array<{ readonly item: A; readonly place: Place }> = []
  // Without a sort the objects come in order already, and a page's worth is enough to know.
  const enough = isSorted ? Number.POSITIVE_INFINITY : size + 1
  for (const item of all) {
    if (!isSorted && after !== undefined && item.order <= after.order) continue
    if (!matches(item, read, query)) continue
    const place = placeOf(item, read, query)
    if (isSorted && after !== undefined && order(place, after) <= 0) continue
    found.push({ item, place })
    if (found.length >= enough) break
  }
  if (isSorted) found.sort((a, b) => order(a.place, b.place))
  const page = found.slice(0, size)
  const last = page.at(-1)
  return {
    items: page.map(({ item }) => item),
    next: found.length > size && last !== undefined ? encode(query, last.place) : undefined
  }
}

/** What is known of an object of which one property alone is known. */
const onlyThis: Reader<string> = { property: (value) => value, tag: () => undefined, rel: () => undefined }

/** Whether an object whose `property` has the value could match at all, whatever else is true of it. */
export const admits = ({ match, terms }: Query, property: string, value: string): boolean => {
  if (match === "none") return true
  const isPossible = (term: Term) =>
    term.on !== "property" || term.key !== property || holds(value, onlyThis, term)
  return match === "all" ? terms.every(isPossible) : terms.length === 0 || terms.some(isPossible)
}
