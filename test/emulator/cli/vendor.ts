/**
 * The vendor's own CLI, pointed at an emulator of this process.
 *
 * Invariant: the CLI talks to nothing but the emulator, with a home of its own.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect } from "@effect/vitest"
import { Effect } from "effect"
import { root } from "../../../scripts/local/paths.ts"
import type { EmulatorSettings } from "../../../src/emulator/settings.ts"
import { client, emulator, token } from "../harness.ts"

const cli = join(root, "node_modules", ".bin", "cpln")

export interface Ran {
  readonly code: number | null
  /** Both outputs, one after the other. */
  readonly out: string
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: any
}

/** The CLI, pointed at an emulator that runs jobs as processes unless told, and a folder for its files. */
export const vendor = Effect.fnUntraced(function* (given: Partial<EmulatorSettings> = {}) {
  const { url } = yield* emulator({ mode: "exec", grace: 3000, preStop: 1000, ...given })
  const home = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "cpln-cli-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: home,
    CPLN_HOME: home,
    CPLN_ENDPOINT: url,
    CPLN_TOKEN: token,
    CPLN_ORG: "acme",
    CPLN_GVC: "dev",
    CPLN_SKIP_UPDATE_CHECK: "1"
  }
  const cpln = (...args: ReadonlyArray<string>) =>
    Effect.callback<Ran>((resume) => {
      const child = spawn(process.execPath, [cli, ...args], { env, cwd: home })
      let out = ""
      let err = ""
      child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
      child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()))
      child.once("close", (code) => {
        const parsed = () => {
          try {
            return JSON.parse(out) as unknown
          } catch {
            return undefined
          }
        }
        resume(Effect.succeed({ code, out: `${out}${err}`, json: parsed() }))
      })
      return Effect.sync(() => child.kill("SIGKILL"))
    })
  /** Must succeed. */
  const does = (...args: ReadonlyArray<string>) =>
    Effect.map(cpln(...args), (ran) => {
      expect([args.join(" "), ran.code, ran.code === 0 ? "" : ran.out]).toEqual([args.join(" "), 0, ""])
      return ran
    })
  const file = (name: string, text: string) => {
    const path = join(home, name)
    writeFileSync(path, text)
    return path
  }
  /** Starts it and does not wait: for what only ends when it is told to. */
  const begins = (...args: ReadonlyArray<string>) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(process.execPath, [cli, ...args], { env, cwd: home })
        let out = ""
        child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
        child.stderr.on("data", (chunk: Buffer) => (out += chunk.toString()))
        return { child, output: () => out }
      }),
      ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
    )
  return { cpln, does, begins, file, home, http: client(url) }
})
