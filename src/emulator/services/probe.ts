/**
 * Whether a container says that it is ready: by HTTP, by a TCP connection, or by a command in it.
 *
 * Invariant: a probe always ends within its timeout, and whatever goes wrong in it means "not ready".
 */
import { connect } from "node:net"
import { Effect } from "effect"
import { at, isObject, type Json, type JsonObject, listOf, numberOf, objectOf, textOf } from "../json.ts"
import { portsOf } from "./scale.ts"

/** Times are in milliseconds. */
export interface Probe {
  readonly check: Check
  readonly initialDelay: number
  readonly period: number
  readonly timeout: number
  readonly successes: number
  readonly failures: number
}

type Check =
  | { readonly _tag: "Http"; readonly url: string; readonly headers: Readonly<Record<string, string>> }
  | { readonly _tag: "Tcp"; readonly port: number }
  | { readonly _tag: "Exec"; readonly command: ReadonlyArray<string> }

const checkOf = (probe: JsonObject, container: JsonObject): Check | undefined => {
  const { httpGet, tcpSocket, exec, grpc } = probe
  const portIn = (value: Json | undefined) =>
    numberOf(at(value, ["port"])) ?? Number(textOf(at(value, ["port"])) ?? portsOf(container)[0] ?? 80)
  if (isObject(httpGet)) {
    const scheme = textOf(httpGet["scheme"])?.toLowerCase() === "https" ? "https" : "http"
    const path = textOf(httpGet["path"]) ?? "/"
    const headers = listOf(httpGet["httpHeaders"]).map(objectOf)
    return {
      _tag: "Http",
      url: `${scheme}://127.0.0.1:${portIn(httpGet)}${path.startsWith("/") ? path : `/${path}`}`,
      headers: Object.fromEntries(headers.map(({ name, value }) => [String(name), String(value)]))
    }
  }
  if (isObject(exec)) return { _tag: "Exec", command: listOf(exec["command"]).map(String) }
  // That it answers at all is what can be asked of gRPC without its protocol.
  if (isObject(tcpSocket) || isObject(grpc)) return { _tag: "Tcp", port: portIn(tcpSocket ?? grpc) }
  return undefined
}

/** The readiness probe of a container, when it has one. Without a period it is asked every second, to suit a laptop. */
export const readinessOf = (container: JsonObject): Probe | undefined => {
  const probe = objectOf(container["readinessProbe"])
  const check = checkOf(probe, container)
  if (check === undefined) return undefined
  const seconds = (name: string, otherwise: number) => (numberOf(probe[name]) ?? otherwise) * 1000
  const times = (name: string, otherwise: number) => Math.max(1, numberOf(probe[name]) ?? otherwise)
  return {
    check,
    initialDelay: seconds("initialDelaySeconds", 0),
    period: Math.max(100, seconds("periodSeconds", 1)),
    timeout: Math.max(100, seconds("timeoutSeconds", 1)),
    successes: times("successThreshold", 1),
    failures: times("failureThreshold", 3)
  }
}

const isAnswered = (url: string, headers: Readonly<Record<string, string>>): Effect.Effect<boolean> =>
  Effect.tryPromise(async (signal) => {
    const answer = await fetch(url, { headers: { ...headers }, signal, redirect: "manual" })
    await answer.body?.cancel()
    return answer.status >= 200 && answer.status < 400
  }).pipe(Effect.orElseSucceed(() => false))

const isOpen = (port: number): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const socket = connect({ port, host: "127.0.0.1" })
    const say = (open: boolean) => () => {
      socket.destroy()
      resume(Effect.succeed(open))
    }
    socket.once("connect", say(true))
    socket.once("error", say(false))
    return Effect.sync(() => socket.destroy())
  })

/** One look. `run` carries out a command in the container and gives its exit code. */
export const isPassed = (
  { check, timeout }: Probe,
  run: (command: ReadonlyArray<string>) => Effect.Effect<number, string>
): Effect.Effect<boolean> => {
  const look =
    check._tag === "Http"
      ? isAnswered(check.url, check.headers)
      : check._tag === "Tcp"
        ? isOpen(check.port)
        : run(check.command).pipe(
            Effect.map((code) => code === 0),
            Effect.orElseSucceed(() => false)
          )
  return look.pipe(Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.succeed(false) }))
}
