/**
 * A whole small world on this machine: a real Prefect server, the local Control Plane in exec mode, both in one temporary
 * folder, all gone with the scope.
 */
import { join } from "node:path"
import { Effect } from "effect"
import { type Place, emulator, ensureGvc } from "./control-plane.ts"
import { agentBinary, temporaryFolder } from "./paths.ts"
import { prefectServer } from "./prefect-server.ts"
import { endLeftovers } from "./process.ts"
import type { Venv } from "./prefect-venv.ts"

export const place: Place = { org: "demo", gvc: "flows", location: "aws-us-west-2" }

export interface WorldOptions {
  readonly venv: Venv
  readonly agent?: ReadonlyArray<string>
  readonly emulatorArgs?: ReadonlyArray<string>
  readonly serverEnv?: Readonly<Record<string, string>>
  readonly say?: (text: string) => void
  /** Told at the end when processes outlived their world; they have been ended by then. */
  readonly onLeftovers?: (count: number) => void
}

export const world = Effect.fnUntraced(function* ({
  venv,
  agent = [agentBinary],
  emulatorArgs = [],
  serverEnv = {},
  say = () => {},
  onLeftovers = (count) => say(`${count} processes were left over and have been ended`)
}: WorldOptions) {
  const folder = yield* temporaryFolder("prefect-cpln-")
  // Runs after everything that is started below has been stopped.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      const left = endLeftovers(folder)
      if (left > 0) onLeftovers(left)
    })
  )
  const cpln = yield* emulator({ agent, home: join(folder, "emulator"), path: venv.bin, args: emulatorArgs })
  say(`Control Plane emulator at ${cpln.url}`)
  yield* ensureGvc(cpln, place)
  const prefect = yield* prefectServer(venv, folder, serverEnv)
  say(`Prefect ${venv.version} server at ${prefect.ui}`)
  return { folder, agent, prefect, cpln, place }
})

export type World = Effect.Success<ReturnType<typeof world>>
