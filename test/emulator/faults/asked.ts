/** Asking for faults over HTTP, and what tests of them look at. */
import { Effect } from "effect"
import { type Answer, type Client, idOf, location, runner } from "../harness.ts"

export const commands = `${runner}/-command`

/** Asks for it; returns how often it happened so far, whenever that is run. */
export const fault = Effect.fnUntraced(function* (cpln: Client, rule: Record<string, unknown>) {
  const made = yield* cpln.post("/emulator/faults", rule)
  if (made.status !== 201) throw new Error(`${made.status} ${made.text}`)
  return Effect.map(cpln.get(`/emulator/faults/${made.json.id}`), ({ json }) => json.fired as number)
})

export const stage = ({ json }: Answer): string => json.lifecycleStage
export const isOver = (answer: Answer) => ["completed", "failed", "cancelled"].includes(stage(answer))
export const isRunning = (answer: Answer) => stage(answer) === "running"
export const isPlaced = ({ json }: Answer) => json.status.replica !== undefined

export const execution = (cpln: Client, path: string) =>
  Effect.map(cpln.get(`${runner}/deployment/${location}`), ({ json }) =>
    json.status.jobExecutions.find(({ name }: { name: string }) => name === `command-${idOf(path)}`)
  )

export const stop = (cpln: Client, replica: string) =>
  cpln.post(commands, { type: "stopReplica", spec: { replica, location } })

/** Its replica, once it runs. */
export const running = (cpln: Client, path: string) =>
  Effect.map(cpln.until(path, isRunning), ({ json }) => json.status.replica as string)

export const end = (cpln: Client, path: string, exitCode: number) =>
  cpln.post(`/emulator/jobs/${idOf(path)}/end`, { exitCode })

/** Milliseconds that it took, and what came of it. */
export const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = performance.now()
    const result = yield* effect
    return [Math.round(performance.now() - before), result] as const
  })

/** The connection broke: there is no answer, or only a part of it. */
export const breaks = (cpln: Client, method: string, path: string, body?: unknown) =>
  Effect.promise(() =>
    fetch(`${cpln.url}${path}`, {
      method,
      headers: { authorization: "Bearer token-of-the-tests" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
      .then((answer) => answer.text())
      .then(
        () => false,
        () => true
      )
  )
