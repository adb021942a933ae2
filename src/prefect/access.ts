/**
 * How the Prefect server is reached: address, credential, headers, TLS, patience.
 *
 * Invariant: a wrong value is an error that names the setting, where it was set and what would be right, and never repeats
 * the value of one that may be secret. What may be secret is `Redacted` from here on.
 */
import { Duration, Effect, FileSystem, Redacted, Schema } from "effect"
import type { PrefectSetting, PrefectSettings } from "./profile.ts"

export interface Access {
  /** Base of every path, without credentials and without a slash at the end. */
  readonly url: string
  /** `PREFECT_API_KEY`: sent as Bearer. */
  readonly apiKey: Redacted.Redacted | undefined
  /** `PREFECT_API_AUTH_STRING`, or the user and password of the URL, as `user:password`: sent as Basic, before the key. */
  readonly authString: Redacted.Redacted | undefined
  /** `PREFECT_CLIENT_CUSTOM_HEADERS`, names in lower case. As in Prefect, they win over the credential. */
  readonly headers: Readonly<Record<string, Redacted.Redacted>>
  readonly tls: {
    readonly skipVerify: boolean
    /** PEM text. Replaces the built-in authorities, as in Prefect. */
    readonly authorities: string | undefined
  }
  /** Of one attempt of one request. */
  readonly timeout: Duration.Duration
  readonly csrf: boolean
}

export class AccessInvalid extends Schema.TaggedError<AccessInvalid>()("AccessInvalid", {
  setting: Schema.String,
  /** Where the value stands; absent when there is none. */
  from: Schema.optionalKey(Schema.String),
  detail: Schema.String
}) {
  override get message() {
    return `${this.setting}${this.from === undefined ? "" : ` from ${this.from}`} ${this.detail}`
  }
}

const example = "http://127.0.0.1:4200/api"

/** The server knows its clients by these; a wrong one changes how it treats us, or locks us out. */
const reservedHeaders = new Set(["user-agent", "prefect-csrf-token", "prefect-csrf-client"])

const CustomHeaders = Schema.fromJsonString(Schema.Record(Schema.String, Schema.String))

const refuse = (name: string, setting: PrefectSetting, detail: string) =>
  new AccessInvalid({ setting: name, from: setting.from, detail })

/** Asked here, because the runtime's own complaint about a header that it cannot send repeats its value. */
const sendable = (header: string, value: string): boolean => {
  try {
    return new Headers([[header, value]]).has(header)
  } catch {
    return false
  }
}

const readUrl = Effect.fnUntraced(function* (settings: PrefectSettings) {
  const name = "PREFECT_API_URL"
  const setting = settings.get(name)
  if (setting === undefined) {
    return yield* new AccessInvalid({
      setting: name,
      detail: `is set neither in the environment nor in the active Prefect profile. Set it to the API of your server, such as ${example}.`
    })
  }
  const url = URL.parse(setting.value.trim())
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    return yield* refuse(name, setting, `is not an http or https URL. It should look like ${example}.`)
  }
  if (url.search !== "" || url.hash !== "") {
    return yield* refuse(
      name,
      setting,
      `must end with its path, without "?" and "#". It should look like ${example}.`
    )
  }
  const user = yield* Effect.try({
    try: () =>
      url.username === "" && url.password === ""
        ? undefined
        : Redacted.make(`${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`),
    catch: () => refuse(name, setting, "has a user or password that is not percent-encoded.")
  })
  return { url: `${url.origin}${url.pathname.replace(/\/+$/u, "")}`, user }
})

const readSwitch = Effect.fnUntraced(function* (settings: PrefectSettings, name: string, fallback: boolean) {
  const setting = settings.get(name)
  if (setting === undefined) return fallback
  const value = setting.value.trim().toLowerCase()
  if (["1", "true", "t", "yes", "y", "on"].includes(value)) return true
  if (["0", "false", "f", "no", "n", "off"].includes(value)) return false
  return yield* refuse(name, setting, "must be true or false.")
})

const readTimeout = Effect.fnUntraced(function* (settings: PrefectSettings) {
  const name = "PREFECT_API_REQUEST_TIMEOUT"
  const setting = settings.get(name)
  if (setting === undefined) return Duration.seconds(60)
  const seconds = Number(setting.value)
  if (seconds > 0 && seconds <= 3600) return Duration.seconds(seconds)
  return yield* refuse(name, setting, "must be a number of seconds, more than 0 and at most 3600.")
})

const readHeaders = Effect.fnUntraced(function* (settings: PrefectSettings) {
  const name = "PREFECT_CLIENT_CUSTOM_HEADERS"
  const setting = settings.get(name)
  if (setting === undefined) return {}
  const given = yield* Schema.decodeUnknownEffect(CustomHeaders)(setting.value).pipe(
    Effect.catchTag("SchemaError", () =>
      refuse(name, setting, 'must be a JSON object of texts, such as {"X-Proxy-Token": "..."}.')
    )
  )
  const headers: Record<string, Redacted.Redacted> = {}
  for (const [header, value] of Object.entries(given)) {
    if (reservedHeaders.has(header.toLowerCase())) {
      return yield* refuse(name, setting, `may not set ${header}, which belongs to this client. Remove it.`)
    }
    if (!sendable(header, value)) {
      return yield* refuse(
        name,
        setting,
        `holds ${JSON.stringify(header)}, which cannot be sent as a header.`
      )
    }
    headers[header.toLowerCase()] = Redacted.make(value)
  }
  return headers
})

const readAuthorities = Effect.fnUntraced(function* (settings: PrefectSettings) {
  const name = "PREFECT_API_SSL_CERT_FILE"
  const setting = settings.get(name)
  if (setting === undefined) return undefined
  const fileSystem = yield* FileSystem.FileSystem
  const pem = yield* fileSystem
    .readFileString(setting.value)
    .pipe(
      Effect.mapError((error) =>
        refuse(name, setting, `names ${setting.value}, which cannot be read (${error.reason._tag}).`)
      )
    )
  if (pem.includes("-----BEGIN CERTIFICATE-----")) return pem
  return yield* refuse(name, setting, `names ${setting.value}, which holds no PEM certificate.`)
})

/** Files and shells like to add a newline at the end of a secret; one inside is a mistake. */
const readSecret = Effect.fnUntraced(function* (settings: PrefectSettings, name: string) {
  const setting = settings.get(name)
  if (setting === undefined) return undefined
  const value = setting.value.trim()
  if (sendable("authorization", value)) return Redacted.make(value)
  return yield* refuse(name, setting, "holds a character that cannot be sent, such as a line break.")
})

/** Reads every setting that decides how the server is reached. The only file it opens is the certificate file. */
export const readAccess = Effect.fn("Access.read")(function* (
  settings: PrefectSettings
): Effect.fn.Return<Access, AccessInvalid, FileSystem.FileSystem> {
  const { url, user } = yield* readUrl(settings)
  return {
    url,
    apiKey: yield* readSecret(settings, "PREFECT_API_KEY"),
    authString: (yield* readSecret(settings, "PREFECT_API_AUTH_STRING")) ?? user,
    headers: yield* readHeaders(settings),
    tls: {
      skipVerify: yield* readSwitch(settings, "PREFECT_API_TLS_INSECURE_SKIP_VERIFY", false),
      authorities: yield* readAuthorities(settings)
    },
    timeout: yield* readTimeout(settings),
    csrf: yield* readSwitch(settings, "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED", true)
  }
})

/** The usual slip is the missing `/api`. */
export const isApiAddress = (url: string): boolean => new URL(url).pathname.split("/").includes("api")

/** Said when a server answers, but not as a Prefect API. */
export const addressHint = (url: string): string =>
  isApiAddress(url)
    ? `Is PREFECT_API_URL (${url}) the API of a Prefect server?`
    : `PREFECT_API_URL is ${url}; most servers have their API under ${new URL(url).origin}/api.`
