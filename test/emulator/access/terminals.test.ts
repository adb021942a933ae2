/** Terminals take the permission `connect` on the workload of the replica. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { WebSocket } from "ws"
import { type Client, org, runner, token, withRunner } from "../harness.ts"
import { running } from "../faults/asked.ts"

/** Everything that a terminal sent until it was closed. */
const session = ({ url }: Client, by: string, pod: string) =>
  Effect.callback<string>((resume) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/exec`)
    let text = ""
    socket.on("open", () =>
      socket.send(
        JSON.stringify({
          requestVersion: "v4",
          token: by,
          org: "acme",
          gvc: "dev",
          pod,
          container: "main",
          command: ["echo", "inside"]
        })
      )
    )
    socket.on("message", (frame: Buffer) => (text += frame.toString()))
    socket.on("close", () => resume(Effect.succeed(text)))
    return Effect.sync(() => socket.terminate())
  })

it.live("a key without connect is told what is missing, with it the command runs", () =>
  Effect.gen(function* () {
    const containers = [{ name: "main", image: "x", command: "sh", args: ["-c", "sleep 60"] }]
    const cpln = yield* withRunner({ mode: "exec", startDelay: 0, grace: 500 }, { containers })
    const account = `${org}/serviceaccount/robot`
    yield* cpln.post(`${org}/serviceaccount`, { name: "robot" })
    const { key } = (yield* cpln.post(`${account}/-addKey`, {})).json
    const pod = yield* running(cpln, yield* cpln.start("runner"))
    expect(yield* session(cpln, key, pod)).toBe(
      `Unauthorized: requires permission "connect" in workload ${runner}: exit code 1`
    )
    yield* cpln.post(`${org}/policy`, {
      name: "p",
      targetKind: "workload",
      target: "all",
      bindings: [{ permissions: ["connect"], principalLinks: [account] }]
    })
    expect(yield* session(cpln, key, pod)).toContain("inside")
    expect(yield* session(cpln, token, pod)).toContain("inside")
    expect(yield* session(cpln, "wrong", pod)).toContain("Unauthorized: ")
  })
)
