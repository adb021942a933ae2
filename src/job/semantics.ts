/**
 * How a pool's template is read, by the version of the server that it stands on: users of a server expect what that
 * server's own workers do.
 *
 * Invariant: everything that differs between Prefect's versions in preparing a job is named here, with its source.
 */

export interface Semantics {
  readonly line: "2" | "3"
  /** `"env.FOO": 1` means `{"env": {"FOO": 1}}` (3.6.5). */
  readonly dottedKeys: boolean
  /** A default of null is as good as none (3.0); before, the placeholder became null. */
  readonly ignoresNullDefaults: boolean
  /** The default of `env` is laid over a literal `env` of the template (3.4.25); before, it replaced it. */
  readonly mergesDefaultEnv: boolean
  /** Entries of a manifest's own env list give way to ours of that name (3.0); before, both were sent. */
  readonly dropsRepeatedEnv: boolean
  /** `{{ prefect.blocks… }}` may stand inside text (3.7.0). */
  readonly inlineBlocks: boolean
  /** Labels with the work pool's and the worker's names (3.2.13). */
  readonly workPoolLabels: boolean
  /** `PREFECT__WORKER_NAME`, `PREFECT__FLOW_ID` and so on, which become request headers (3.6.17). */
  readonly attribution: boolean
  /** `{{ ctx.flow.… }}` and `{{ ctx.flow_run.… }}` in the job's name (3.6.16). */
  readonly contextInName: boolean
}

type Version = readonly [major: number, minor: number, patch: number]

/** From text such as "3.8.8", "3.0.0rc1" or "2.20.25+1.gabc"; what cannot be read counts as 3.0.0. */
export const parseVersion = (text: string): Version => {
  const [, major = "3", minor = "0", patch = "0"] = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?/u.exec(text) ?? []
  return [Number(major), Number(minor), Number(patch)]
}

const isAtLeast = (version: Version, [major, minor, patch]: Version): boolean => {
  if (version[0] !== major) return version[0] > major
  return version[1] === minor ? version[2] >= patch : version[1] > minor
}

export const semanticsOf = (version: string): Semantics => {
  const parsed = parseVersion(version)
  const from = (...first: Version) => isAtLeast(parsed, first)
  return {
    line: from(3, 0, 0) ? "3" : "2",
    dottedKeys: from(3, 6, 5),
    ignoresNullDefaults: from(3, 0, 0),
    mergesDefaultEnv: from(3, 4, 25),
    dropsRepeatedEnv: from(3, 0, 0),
    inlineBlocks: from(3, 7, 0),
    workPoolLabels: from(3, 2, 13),
    attribution: from(3, 6, 17),
    contextInName: from(3, 6, 16)
  }
}
