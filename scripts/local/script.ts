/**
 * Runs a script's program: its number is the exit code, an error is one message, Ctrl-C closes every scope first.
 */
import { NodeRuntime } from "@effect/platform-node-shared"
import { Cause, Effect, Exit } from "effect"

export const runScript = <E>(program: Effect.Effect<number, E>) =>
  NodeRuntime.runMain(
    program.pipe(
      Effect.catchCause((cause) => {
        if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
        const error = Cause.squash(cause)
        console.error(
          `\n${error instanceof Error && error.message !== "" ? error.message : Cause.pretty(cause)}`
        )
        return Effect.succeed(1)
      })
    ),
    {
      disableErrorReporting: true,
      teardown: (exit, done) => done(Exit.isSuccess(exit) ? Number(exit.value) : 130)
    }
  )

/** `--name value`, `--name=value` and switches of a script's command line; anything unknown is an error. */
export const options = <V extends string, S extends string>(
  values: ReadonlyArray<V>,
  switches: ReadonlyArray<S>,
  from: ReadonlyArray<string> = process.argv.slice(2)
): { readonly [K in V]?: string } & { readonly [K in S]?: boolean } => {
  const found: Record<string, string | boolean> = {}
  const rest = [...from]
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [flag = "", inline] = word.split(/=(.*)/s, 2)
    const name = flag.replace(/^--/, "")
    if (switches.includes(name as S) && inline === undefined) found[name] = true
    else if (values.includes(name as V)) {
      const value = inline ?? rest.shift()
      if (value === undefined) throw new Error(`${flag} needs a value`)
      found[name] = value
    } else throw new Error(`unknown argument '${word}'`)
  }
  return found as { readonly [K in V]?: string } & { readonly [K in S]?: boolean }
}
