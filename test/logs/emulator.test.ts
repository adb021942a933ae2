/** The relay over the real client and the emulator: jobs are processes of this machine, sessions end every two seconds. */
import { NodeCrypto } from "@effect/platform-node-shared"
import { describe, expect, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Logger, Redacted } from "effect"
import { Access, ControlPlane } from "../../src/cpln/control-plane.ts"
import { WorkloadRef } from "../../src/cpln/schemas.ts"
import * as Emulator from "../../src/emulator/emulator.ts"
import { Listener } from "../../src/emulator/listener.ts"
import { defaultLogSettings, LogSettings } from "../../src/emulator/logs/settings.ts"
import { defaults } from "../../src/emulator/settings.ts"
import { Relay } from "../../src/logs/relay.ts"
import { platform } from "../../src/platform.ts"
import { client, cron, gvc, idOf, location, org, token } from "../emulator/harness.ts"

const tailSession = Duration.seconds(2)
const settings = { ...defaults, token: Redacted.make(token), orgs: ["acme"], startDelay: 0 }
const world = Emulator.layer(settings).pipe(
  Layer.provide(Layer.succeed(LogSettings, { ...defaultLogSettings, tailSession })),
  Layer.provide(NodeCrypto.layer),
  Layer.merge(Relay.layer(undefined).pipe(Layer.provide(ControlPlane.layer))),
  Layer.provide(platform)
)

const counting = (container: string, script: string) => ({
  name: container,
  image: "ubuntu:latest",
  command: "sh",
  args: ["-c", script]
})

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, n) => String(from + n))

// A runtime without a global WebSocket has no tail: there is nothing to be seen here.
describe.skipIf(!("WebSocket" in globalThis))("output of the emulator's jobs", () => {
  it.live(
    "is printed once and in order, over the ends of sessions, of fast and slow and short jobs side by side",
    () => {
      const printed: Array<string> = []
      const logger = Logger.make<unknown, void>(({ message }) => {
        printed.push(Array.isArray(message) ? message.join(" ") : String(message))
      })
      return Effect.gen(function* () {
        const context = yield* Layer.build(world)
        const { url } = Context.get(context, Listener)
        const relay = Context.get(context, Relay)
        const cpln = client(url)
        const access = new Access({ endpoint: url, org: "acme", token: Redacted.make(token) })
        yield* cpln.post(`${org}/gvc`, {
          name: "dev",
          spec: { staticPlacement: { locationLinks: [`//location/${location}`] } }
        })
        const scripts = {
          fast: "seq 1 20000; sleep 3; seq 20001 20010",
          slow: "for n in $(seq 1 50); do echo $n; sleep 0.1; done; echo 51",
          short: "seq 1 3"
        }
        const follow = Effect.fnUntraced(function* (name: keyof typeof scripts, workload: string) {
          const command = idOf(
            yield* cpln.start(workload, { containerOverrides: [counting("main", scripts[name])] })
          )
          yield* relay.follow({
            place: { access, workload: new WorkloadRef({ org: "acme", gvc: "dev", name: workload }) },
            commandId: command,
            created: Date.now(),
            runId: name,
            flow: undefined,
            streamOutput: true
          })
          return name
        })
        for (const workload of ["one", "two"]) yield* cpln.post(`${gvc}/workload`, cron(workload))
        yield* follow("slow", "one")
        yield* Effect.sleep("1 second")
        yield* follow("fast", "one")
        yield* follow("short", "two")
        const linesOf = (run: string) =>
          printed.filter((line) => line.includes(`RunID: ${run},`)).map((line) => line.split(" > ")[1])
        for (let waited = 0; waited < 150; waited++) {
          if (linesOf("slow").length >= 51 && linesOf("fast").length >= 20_010) break
          yield* Effect.sleep("100 millis")
        }
        yield* Effect.sleep("1 second")
        expect(linesOf("slow")).toEqual(numbers(1, 51))
        expect(linesOf("fast")).toEqual(numbers(1, 20_010))
        expect(linesOf("short")).toEqual(numbers(1, 3))
      }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger])))
    },
    60_000
  )
})
