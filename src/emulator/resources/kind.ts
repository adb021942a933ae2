/** What a kind of object is to the rest of the emulator. */
import type { JsonObject } from "../json.ts"
import type { Place } from "../links.ts"
import type { Resource, Store } from "../store.ts"

/** What would be stored. */
export interface Draft extends Place {
  readonly kind: string
  readonly name: string
  readonly description: string | undefined
  readonly tags: JsonObject
  /** Without the envelope, links expanded. */
  readonly body: JsonObject
}

export interface Kind {
  readonly name: string
  readonly scope: "org" | "gvc"
  /** What a client may do besides reading. */
  readonly allows: ReadonlyArray<"create" | "change" | "delete">
  /** A body as it is meant, before it is checked. */
  readonly normal?: (body: JsonObject) => JsonObject
  /** Why this may not be stored; `before` is what it would replace. */
  readonly problems?: (
    draft: Draft,
    store: Store["Service"],
    before: Resource | undefined
  ) => ReadonlyArray<string>
  /** The body as it is read back. */
  readonly read?: (resource: Resource, store: Store["Service"]) => JsonObject
  /** Besides `self`, `org` and `gvc`. */
  readonly links?: (resource: Resource) => ReadonlyArray<{ readonly rel: string; readonly href: string }>
  /** Whatever stands beside the envelope and the body, such as `status`. */
  readonly extra?: (resource: Resource, store: Store["Service"]) => JsonObject
}
