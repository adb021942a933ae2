/** What a service said, and when by its own clock: ages are never taken from the local one. */

/** `at` is the answer's `Date` header in milliseconds since 1970 (the local clock only where there is none). */
export interface Seen<A> {
  readonly value: A
  readonly at: number
}
