/**
 * The `PREFECT_*` settings of this process: its environment, laid over the active Prefect profile.
 *
 * Invariant: every value keeps the name of where it came from, so that an error about it can say so. A profiles file that
 * is missing is no settings; one that is broken is an error, because the URL in it is the one that the user relies on.
 */
import { Effect, FileSystem, Option, Path, Predicate, Schema } from "effect"
import { parse, TomlError } from "smol-toml"

/** `from` reads inside a sentence: "the environment", "profile 'prod' (/home/me/.prefect/profiles.toml)". */
export interface PrefectSetting {
  readonly value: string
  readonly from: string
}

/** By name, such as `PREFECT_API_URL`. Holds secrets: never print a value. */
export type PrefectSettings = ReadonlyMap<string, PrefectSetting>

export type Environment = Readonly<Record<string, string | undefined>>

export class ProfileInvalid extends Schema.TaggedError<ProfileInvalid>()("ProfileInvalid", {
  file: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `The Prefect profiles in ${this.file} cannot be used: ${this.detail}`
  }
}

/** Profiles that Prefect itself brings: active without a section in the file, they hold nothing that an agent needs. */
const builtIn = new Set(["default", "ephemeral", "local", "test", "cloud"])

const ProfilesFile = Schema.Struct({
  active: Schema.optionalKey(Schema.String),
  profiles: Schema.optionalKey(Schema.Record(Schema.String, Schema.Record(Schema.String, Schema.Unknown)))
})

/** An empty variable counts as one that is not set, so it does not hide the profile's value. */
const filled = (environment: Environment, name: string): Option.Option<string> =>
  Option.filter(Option.fromNullishOr(environment[name]), (value) => value.trim() !== "")

/** `PREFECT_PROFILES_PATH`, else `PREFECT_HOME/profiles.toml`, else `~/.prefect/profiles.toml`; none without a home. */
const profilesFile = Effect.fnUntraced(function* (environment: Environment) {
  const path = yield* Path.Path
  const home = filled(environment, "HOME")
  const expanded = (given: string) =>
    Option.match(home, {
      onNone: () => given,
      onSome: (folder) =>
        given === "~" || given.startsWith("~/") ? path.join(folder, given.slice(1)) : given
    })
  return filled(environment, "PREFECT_PROFILES_PATH").pipe(
    Option.map(expanded),
    Option.orElse(() =>
      Option.map(filled(environment, "PREFECT_HOME"), (folder) =>
        path.join(expanded(folder), "profiles.toml")
      )
    ),
    Option.orElse(() => Option.map(home, (folder) => path.join(folder, ".prefect", "profiles.toml")))
  )
})

/** The parser quotes the broken lines in its message, and they may hold a key: only the place is passed on. */
const parsed = (file: string, text: string) =>
  Effect.try({
    try: () => parse(text),
    catch: (error) =>
      new ProfileInvalid({
        file,
        detail:
          error instanceof TomlError
            ? `it is not valid TOML near line ${error.line}, column ${error.column}.`
            : "it is not valid TOML."
      })
  }).pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(ProfilesFile)),
    Effect.catchTag(
      "SchemaError",
      () =>
        new ProfileInvalid({
          file,
          detail: 'expected `active = "NAME"` and tables of the form `[profiles.NAME]`.'
        })
    )
  )

/** Prefect writes strings; people write numbers, booleans and tables too. */
const asText = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))

const readProfile = Effect.fn("Profile.read")(function* (environment: Environment) {
  const fileSystem = yield* FileSystem.FileSystem
  const found = yield* profilesFile(environment)
  if (Option.isNone(found)) return new Map<string, PrefectSetting>()
  const file = found.value

  const text = yield* fileSystem.readFileString(file).pipe(
    Effect.map(Option.some),
    Effect.catch((error) =>
      error.reason._tag === "NotFound"
        ? Effect.succeedNone
        : Effect.fail(new ProfileInvalid({ file, detail: `it cannot be read (${error.reason._tag}).` }))
    )
  )
  if (Option.isNone(text)) return new Map<string, PrefectSetting>()

  const { active, profiles = {} } = yield* parsed(file, text.value)
  const chosen = filled(environment, "PREFECT_PROFILE")
  const name = Option.getOrElse(chosen, () => active ?? "")
  const profile = Object.hasOwn(profiles, name) ? profiles[name] : undefined
  if (profile === undefined) {
    if (name === "" || builtIn.has(name)) return new Map<string, PrefectSetting>()
    const named = Option.isSome(chosen) ? "PREFECT_PROFILE in the environment" : "the key `active`"
    const known = Object.keys(profiles)
    return yield* new ProfileInvalid({
      file,
      detail: `${named} names '${name}', and there is ${known.length === 0 ? "no profile" : `only ${known.join(", ")}`}.`
    })
  }
  const from = `profile '${name}' (${file})`
  return new Map(
    Object.entries(profile)
      .filter(([key, value]) => key.startsWith("PREFECT_") && Predicate.isNotNullish(value))
      .map(([key, value]) => [key, { value: asText(value), from }] as const)
  )
})

/**
 * Every `PREFECT_*` setting that has a value, environment before profile.
 */
export const readPrefectSettings = Effect.fn("Profile.settings")(function* (
  environment: Environment
): Effect.fn.Return<PrefectSettings, ProfileInvalid, FileSystem.FileSystem | Path.Path> {
  const settings = new Map(yield* readProfile(environment))
  for (const name of Object.keys(environment)) {
    const value = name.startsWith("PREFECT_") ? filled(environment, name) : Option.none()
    if (Option.isSome(value)) settings.set(name, { value: value.value, from: "the environment" })
  }
  return settings
})

/** Plain values by name, as jobs and templates take them. Holds secrets. */
export const plainSettings = (settings: PrefectSettings): Readonly<Record<string, string>> =>
  Object.fromEntries(Array.from(settings, ([name, { value }]) => [name, value]))
