/**
 * Who asks. The token of the emulator opens everything; each pod has one of its own, and keys of service accounts count too.
 *
 * Invariant: tokens are compared in constant time, and none is stored: tokens of pods and keys of accounts are signed, and
 * say themselves whose they are. A key counts as long as its account lists it.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto"
import { Context, Effect, Layer, Redacted } from "effect"
import { SecureRandom } from "effect/crypto"
import { at, listOf } from "./json.ts"
import { Settings } from "./settings.ts"
import { StateFolder } from "./state/state-folder.ts"
import { type Resource, Store } from "./store.ts"

export type Principal =
  | { readonly _tag: "Owner" }
  /** A process in a pod; `workload` is its link. */
  | { readonly _tag: "Pod"; readonly workload: string }
  | { readonly _tag: "ServiceAccount"; readonly account: string }

export class Auth extends Context.Service<
  Auth,
  {
    /** Takes the header with and without `Bearer `; undefined is a 401. */
    identify(authorization: string | undefined): Principal | undefined
    /** What a container of the workload finds in `CPLN_TOKEN`. */
    podToken(workload: string): string
    /** A new key of a service account, shown this once. */
    addKey(account: Resource, name: string): Effect.Effect<string>
  }
>()("emulator/Auth") {
  static readonly layer = Layer.effect(
    Auth,
    Effect.gen(function* () {
      const { token } = yield* Settings
      const store = yield* Store
      const random = yield* SecureRandom.SecureRandom
      const { secret } = yield* StateFolder
      const given = token === undefined ? undefined : digest(Redacted.value(token))
      const signature = (text: string) => createHmac("sha256", secret).update(text).digest("base64url")
      const podToken = (workload: string) => {
        const name = Buffer.from(workload).toString("base64url")
        return `${podPrefix}${name}.${signature(name)}`
      }
      const podOf = (text: string): Principal | undefined => {
        if (!text.startsWith(podPrefix)) return undefined
        const workload = Buffer.from(text.slice(podPrefix.length).split(".")[0] ?? "", "base64url").toString()
        return isSame(digest(podToken(workload)), digest(text)) ? { _tag: "Pod", workload } : undefined
      }

      const signedKey = (nonce: string, whose: string) => {
        const start = `s${nonce}.${Buffer.from(whose).toString("base64url")}`
        return `${start}.${signature(start)}`
      }
      /** "Gone" is a key that was one. */
      const accountOf = (text: string): Principal | "Gone" | undefined => {
        const [nonce, body, ...rest] = text.split(".")
        if (nonce?.startsWith("s") !== true || body === undefined || rest.length !== 1) return undefined
        const whose = Buffer.from(body, "base64url").toString()
        if (!isSame(digest(signedKey(nonce.slice(1), whose)), digest(text))) return undefined
        const [, path = "", id, name] = whose.split(" ")
        const account = store.get(path)
        const isListed = listOf(account?.body["keys"]).some((key) => at(key, ["name"]) === name)
        return account?.id === id && isListed ? { _tag: "ServiceAccount", account: path } : "Gone"
      }

      return Auth.of({
        podToken,
        identify: (authorization) => {
          const text = authorization?.replace(/^Bearer\s+/iu, "").trim() ?? ""
          if (text === "") return undefined
          if (given !== undefined && isSame(digest(text), given)) return owner
          const known = podOf(text) ?? accountOf(text) ?? (given === undefined ? owner : undefined)
          return known === "Gone" ? undefined : known
        },
        addKey: ({ org, path, id }, name) =>
          Effect.map(random.randomBytes(15), (bytes) =>
            signedKey(Buffer.from(bytes).toString("base64url"), `${org} ${path} ${id} ${name}`)
          )
      })
    })
  )
}

const podPrefix = "pod."
const owner: Principal = { _tag: "Owner" }

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

const isSame = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b)
