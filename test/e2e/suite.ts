/**
 * A suite of end-to-end tests: runs them in order, tells each result as it comes, ends with `N passed, N failed`.
 *
 * Invariant: a failed or hanging test is a line of the report and never keeps the others from running.
 */
import { Cause, type Duration, Effect, Schema, type Scope } from "effect"
import type { Check } from "../../scripts/local/run-record.ts"

export class Broken extends Schema.TaggedError<Broken>()("Broken", { text: Schema.String }) {
  override get message() {
    return this.text
  }
}

/** Fails the test with `text` unless `holds`. */
export const must = (holds: boolean, text: string) =>
  holds ? Effect.void : Effect.fail(new Broken({ text }))

/** Fails the test with every promise that does not hold. */
export const keeps = (checks: ReadonlyArray<Check>) => {
  const broken = checks.filter(({ holds }) => !holds)
  return must(
    broken.length === 0,
    broken.map(({ promise, seen }) => `not so: ${promise}; seen: ${seen}`).join("\n")
  )
}

export interface Suite {
  readonly test: <E>(
    name: string,
    body: Effect.Effect<unknown, E, Scope.Scope>,
    atMost?: Duration.Input
  ) => Effect.Effect<void>
  readonly skip: (name: string, needs: string) => Effect.Effect<void>
  /** Counts a failure that belongs to no test, such as a server that does not start. */
  readonly broken: (what: string, cause: Cause.Cause<unknown>) => Effect.Effect<void>
  /** Prints the closing line; the exit code. */
  readonly close: () => number
}

/** `only` is part of the names of the tests to run; all when undefined. */
export const makeSuite = (title: string, only: string | undefined): Suite => {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  const failures: Array<string> = []
  const fail = (name: string, cause: Cause.Cause<unknown>) => {
    counts.failed += 1
    failures.push(name)
    const error = Cause.squash(cause)
    const reason = error instanceof Error && error.message !== "" ? error.message : Cause.pretty(cause)
    console.log(`  FAIL  ${name}\n${reason.replace(/^/gm, "          ")}`)
  }
  const wanted = (name: string) => only === undefined || name.includes(only)
  return {
    test: (name, body, atMost = "3 minutes") => {
      if (!wanted(name)) return Effect.void
      return Effect.gen(function* () {
        const from = performance.now()
        const exit = yield* body.pipe(Effect.scoped, Effect.timeout(atMost), Effect.exit)
        const took = `${((performance.now() - from) / 1000).toFixed(1)} s`
        if (exit._tag === "Success") {
          counts.passed += 1
          console.log(`  ok    ${name} (${took})`)
          return
        }
        if (Cause.hasInterruptsOnly(exit.cause)) return yield* Effect.interrupt
        fail(`${name} (${took})`, exit.cause)
      })
    },
    broken: (what, cause) => Effect.sync(() => fail(what, cause)),
    skip: (name, needs) =>
      Effect.sync(() => {
        if (!wanted(name)) return
        counts.skipped += 1
        console.log(`  skip  ${name}\n          skipped: needs ${needs}`)
      }),
    close: () => {
      if (failures.length > 0)
        console.log(`\n${title}: failed\n${failures.map((name) => `  ${name}`).join("\n")}`)
      const skipped = counts.skipped === 0 ? "" : `, ${counts.skipped} skipped`
      console.log(`\n${counts.passed} passed, ${counts.failed} failed${skipped}`)
      return counts.failed === 0 && counts.passed > 0 ? 0 : 1
    }
  }
}
