/** Credentials come with or without `Bearer ` in front, as the `cpln` tool takes both; here only the bare token counts. */
import { Redacted } from "effect"

export const bareToken = (token: Redacted.Redacted): Redacted.Redacted =>
  Redacted.make(
    Redacted.value(token)
      .trim()
      .replace(/^bearer\s+/iu, "")
  )
