/**
 * What a file of conformance vectors holds, and what an adapter makes of it. The format is described in
 * `test/contract/vectors/README.md`.
 *
 * Invariant: an adapter feeds the input of a case to the project's own code and never looks at the case's id, so that
 * cases that are kept elsewhere are judged like the ones in the project.
 */

export type Json = null | boolean | number | string | ReadonlyArray<Json> | JsonObject
export interface JsonObject {
  readonly [key: string]: Json
}

/** `expected` and the entries of `expectedAnyOf` map a JSON Pointer into `output` to a value or a matcher. */
export interface VectorCase {
  readonly id: string
  readonly title: string
  readonly family: string
  readonly input: JsonObject
  readonly output: JsonObject
  readonly defect?: string
  readonly expected?: JsonObject
  readonly expectedAnyOf?: ReadonlyArray<JsonObject>
  readonly note?: string
}

export interface VectorFile {
  /** `kubernetes-job`, `slugs` …: which adapter runs it. */
  readonly kind: string
  readonly path: string
  /** The whole file; its head holds `prefectVersion` and the like. */
  readonly content: JsonObject
  /** Empty for the kinds that have no cases (`base-job-template`, `block-types`). */
  readonly cases: ReadonlyArray<VectorCase>
  /** Another file of the same directory, where a case refers to one (`base-job-template`). */
  readonly sibling: (kind: string) => JsonObject | undefined
}

export interface Outcome {
  readonly id: string
  readonly title: string
  /** Each `<pointer>: expected …, got …`; none when the case passes. */
  readonly failures: ReadonlyArray<string>
}

/** What a file of adapters exports as `run`. */
export type Adapter = (file: VectorFile) => ReadonlyArray<Outcome> | Promise<ReadonlyArray<Outcome>>

/** The usual adapter: one case at a time; a throw is a failure of the case, not of the run. */
export const eachCase =
  (failuresOf: (each: VectorCase, file: VectorFile) => ReadonlyArray<string>): Adapter =>
  (file) =>
    file.cases.map((each) => {
      const { id, title } = each
      try {
        return { id, title, failures: failuresOf(each, file) }
      } catch (cause) {
        const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
        return { id, title, failures: [`threw: ${text.split("\n").slice(0, 4).join("\n  ")}`] }
      }
    })

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const objectOf = (value: unknown): JsonObject => (isObject(value) ? value : {})

export const listOf = (value: unknown): ReadonlyArray<Json> =>
  Array.isArray(value) ? (value as ReadonlyArray<Json>) : []

export const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)
