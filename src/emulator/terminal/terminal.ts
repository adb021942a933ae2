/**
 * Terminal sessions: a program run beside those of a container, its input and output over a socket.
 *
 * Invariant: a session ends with its program, its socket or the emulator, whichever is first, and leaves none of them. How a
 * program failed is told by a last frame of its own, whose beginning the vendor's CLI knows.
 */
import { Deferred, Effect, Option, Result } from "effect"
import type { RawData, WebSocket } from "ws"
import { Access } from "../access/access.ts"
import { missing } from "../access/permissions.ts"
import { Auth } from "../auth.ts"
import { Driver } from "../jobs/driver.ts"
import { at, listOf, textOf } from "../json.ts"
import { collectionPath } from "../links.ts"
import { type Resource, Store } from "../store.ts"
import { requestOf, type TerminalRequest, typedBytes } from "./request.ts"

/** A client that connects and says nothing is not waited for any longer. */
const patience = "10 seconds"
/** Bytes on their way to a client that reads too slowly; its session ends at more. */
const mostUnsent = 32 * 1024 * 1024

const failed = (why: string) => `Failed to create terminal session: ${why}`

const bytesOf = (data: RawData): Buffer =>
  Buffer.isBuffer(data) ? data : Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)

/** All that comes over a socket, kept until somebody listens. */
const makeInbox = (socket: WebSocket) => {
  const kept: Array<Buffer> = []
  const first = Deferred.makeUnsafe<Buffer>()
  const closed = Deferred.makeUnsafe<void>()
  let listener: ((data: Buffer) => void) | undefined
  socket.on("message", (data) => {
    const bytes = bytesOf(data)
    if (Deferred.doneUnsafe(first, Effect.succeed(bytes))) return
    if (listener === undefined) kept.push(bytes)
    else listener(bytes)
  })
  socket.on("close", () => Deferred.doneUnsafe(closed, Effect.void))
  // An error is always followed by the close.
  socket.on("error", () => {})
  return {
    first: Deferred.await(first),
    closed: Deferred.await(closed),
    listen: (given: (data: Buffer) => void) => {
      listener = given
      kept.splice(0).forEach(given)
    }
  }
}

export const makeTerminal = Effect.gen(function* () {
  const auth = yield* Auth
  const access = yield* Access
  const store = yield* Store
  const driver = yield* Driver

  /** The workload that a replica belongs to. */
  const workloadOf = ({ org, gvc, pod }: TerminalRequest): Resource | undefined =>
    store
      .list(collectionPath({ org, gvc }, "workload"))
      .find(
        ({ path }) =>
          store.liveReplica(path, pod) !== undefined || store.replicas(path)?.some(({ name }) => name === pod)
      )

  /** Runs the program; the text of the last frame when it has not simply succeeded. */
  const carriedOut = Effect.fnUntraced(function* (
    socket: WebSocket,
    inbox: ReturnType<typeof makeInbox>,
    request: TerminalRequest
  ) {
    const principal = auth.identify(request.token)
    if (principal === undefined) return "Unauthorized: the token is missing or not accepted"
    const workload = workloadOf(request)
    const names = listOf(at(workload?.body, ["spec", "containers"])).map((each) => textOf(at(each, ["name"])))
    const container = request.container ?? names[0]
    if (workload === undefined || container === undefined || !names.includes(container)) {
      return failed(`container ${container ?? ""} of replica ${request.pod} does not exist: exit code 1`)
    }
    const { org, path } = workload
    if (!access.may(principal, { org, kind: "workload", permission: "connect", path })) {
      return `Unauthorized: ${missing("connect", "workload", path)}: exit code 1`
    }
    const { command, tty } = request
    const code = yield* Effect.result(
      driver.exec({
        replica: request.pod,
        container,
        command,
        tty,
        onOutput: (bytes) => {
          if (socket.bufferedAmount > mostUnsent) socket.terminate()
          else socket.send(bytes)
        },
        ...(request.stdin || tty
          ? {
              onInput: ({ write, end }) =>
                inbox.listen((data) => {
                  const typed = tty ? typedBytes(data.toString()) : data
                  if (typed !== undefined && typed.length > 0) write(typed)
                  // The whole of a piped input is one message, in as many fragments as the client likes.
                  if (!tty) end()
                })
            }
          : {})
      })
    )
    if (Result.isFailure(code)) return failed(`${code.failure}: exit code 126`)
    return code.success === 0 ? undefined : failed(`command terminated with exit code ${code.success}`)
  })

  return Effect.fnUntraced(function* (socket: WebSocket) {
    const inbox = makeInbox(socket)
    const session = Effect.gen(function* () {
      const first = yield* Effect.timeoutOption(inbox.first, patience)
      if (Option.isNone(first)) return
      const request = requestOf(first.value.toString())
      const last = Result.isFailure(request)
        ? failed(`${request.failure}: exit code 1`)
        : yield* carriedOut(socket, inbox, request.success)
      if (last !== undefined && socket.readyState === socket.OPEN) socket.send(last)
    })
    yield* Effect.raceFirst(session, inbox.closed).pipe(
      Effect.catchCause((cause) => Effect.logError("emulator: a terminal session failed", cause)),
      Effect.ensuring(Effect.sync(() => socket.close(1000)))
    )
  })
})
