/** The reference's server and worker, installed into an emulator that runs them as processes: with a `prefect` of the test's. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { root } from "../../../scripts/local/paths.ts"
import { vendor } from "./vendor.ts"

const manifests = join(root, "test", "emulator", "manifests")

/** Says what it was started with, keeps a file in its home, and stays. */
const prefect = `#!/bin/sh
echo "started: $*, port \${PORT:-none}, api \${PREFECT_API_URL:-none}, $CPLN_WORKLOAD"
[ "$1" = server ] && date >> ~/.prefect/prefect.db && echo "database kept"
exec sleep 600
`

/** The folder of a program of that name, first in the PATH as long as the scope. */
const withProgram = (name: string, text: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = mkdtempSync(join(tmpdir(), "program-"))
      writeFileSync(join(folder, name), text)
      chmodSync(join(folder, name), 0o755)
      const before = process.env["PATH"]
      process.env["PATH"] = `${folder}:${before}`
      return { folder, before }
    }),
    ({ folder, before }) =>
      Effect.sync(() => {
        process.env["PATH"] = before
        rmSync(folder, { recursive: true, force: true })
      })
  )

describe("the manifests of the reference", () => {
  it.live(
    "run as processes: the server with its volume, the worker with the server's address",
    () =>
      Effect.gen(function* () {
        yield* withProgram("prefect", prefect)
        const { does } = yield* vendor()
        const gvc = ["--gvc", "prefect"]
        yield* does("apply", ...gvc, "--ready", "-f", join(manifests, "server.yaml"))
        yield* does("apply", ...gvc, "--ready", "-f", join(manifests, "worker.yaml"))
        const logs = (workload: string) =>
          Effect.map(does("logs", `{gvc="prefect", workload="${workload}"}`), ({ out }) => out)
        const server = yield* logs("prefect-server")
        const path = "/org/acme/gvc/prefect/workload"
        expect(server).toContain(
          `started: server start --host 0.0.0.0, port 4200, api none, ${path}/prefect-server`
        )
        expect(server).toContain("database kept")
        expect(yield* logs("prefect-worker")).toContain(
          `started: worker start --pool cpln, port none, api http://127.0.0.1:4200/api, ${path}/prefect-worker`
        )
        const replica = yield* does("workload", "replica", "get", "prefect-server", ...gvc, "-o", "json")
        expect(replica.json.items).toEqual(["prefect-server-0"])
      }),
    120_000
  )
})
