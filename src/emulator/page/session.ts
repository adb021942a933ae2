/**
 * Who may see the pages: a browser that was shown the operator's token once.
 *
 * Invariant: the token itself is never in a cookie, since browsers send cookies of an address to every port of it; what is
 * there opens the pages alone, which only read.
 */
import { createHmac, timingSafeEqual } from "node:crypto"
import { Context, Effect, Layer, Redacted } from "effect"
import { Settings } from "../settings.ts"
import { StateFolder } from "../state/state-folder.ts"

const name = "cpln-emulator"

export class PageSession extends Context.Service<
  PageSession,
  {
    /** Whether the request's cookies are those of a browser that was let in. */
    isOpen(cookie: string | undefined): boolean
    /** The cookie for whoever has the token; undefined for anybody else. */
    cookieFor(token: string): string | undefined
  }
>()("emulator/page/PageSession") {
  static readonly layer = Layer.effect(
    PageSession,
    Effect.gen(function* () {
      const { token } = yield* Settings
      const { secret } = yield* StateFolder
      const given = token === undefined ? undefined : Redacted.value(token)
      const digest = (text: string) => createHmac("sha256", secret).update(text).digest()
      // Another token makes other sessions.
      const session = digest(`page ${given ?? ""}`).toString("base64url")
      const isSame = (a: string, b: string) => timingSafeEqual(digest(a), digest(b))
      return PageSession.of({
        isOpen: (cookie = "") =>
          given === undefined ||
          cookie.split(";").some((each) => {
            const [key, value = ""] = each.trim().split("=")
            return key === name && isSame(value, session)
          }),
        cookieFor: (text) =>
          given === undefined || isSame(text, given)
            ? `${name}=${session}; Path=/; HttpOnly; SameSite=Strict`
            : undefined
      })
    })
  )
}
