/** Where things are in the project, wherever it was cloned to. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { Effect } from "effect"

export const root = resolve(import.meta.dirname, "..", "..")

/** The compiled agent, as `scripts/build` leaves it. */
export const agentBinary = join(root, "dist", "agent")

/** A folder of its own that is removed with the scope. */
export const temporaryFolder = (prefix: string) =>
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), prefix))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  )
