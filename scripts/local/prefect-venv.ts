/**
 * A Python environment with one pinned Prefect, made under `.cache/` of the project and used again next time.
 *
 * Invariant: an environment whose marker names the present requirements is complete; any other is made anew.
 */
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { root } from "./paths.ts"
import { run } from "./process.ts"

/** The two lines of Prefect servers that the agent supports, by major version. */
export type Line = "2" | "3"

export const versions: Readonly<Record<Line, string>> = { "2": "2.20.25", "3": "3.8.8" }

export interface Venv {
  readonly line: Line
  readonly version: string
  /** The folder with `python`, `prefect` and the rest. */
  readonly bin: string
}

/** Caches of the installers stay inside the project, so that a clone leaves nothing behind elsewhere. */
const installerEnv = (): Record<string, string> => ({
  ...(process.env as Record<string, string>),
  PIP_CACHE_DIR: join(root, ".cache", "pip"),
  UV_CACHE_DIR: join(root, ".cache", "uv"),
  PIP_DISABLE_PIP_VERSION_CHECK: "1",
  PYTHONDONTWRITEBYTECODE: "1"
})

/** Makes the environment unless it is there. `python` is an interpreter of 3.11 or newer that has `venv`. */
export const prefectVenv = Effect.fnUntraced(function* (
  line: Line,
  python: string,
  say: (text: string) => void = () => {}
) {
  const version = versions[line]
  const requirements = join(root, "scripts", "prefect", `requirements-${version}.txt`)
  const folder = join(root, ".cache", `prefect-${version}`)
  const bin = join(folder, "bin")
  const venv: Venv = { line, version, bin }
  const marker = join(folder, "complete")
  const wanted = createHash("sha256").update(readFileSync(requirements)).digest("hex")
  // A link to an interpreter that is gone does not count as one.
  const there = existsSync(join(bin, "python")) && existsSync(marker)
  if (there && readFileSync(marker, "utf8") === wanted) return venv

  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(root, ".cache"), { recursive: true })
  const logFile = join(root, ".cache", `prefect-${version}.log`)
  rmSync(logFile, { force: true })
  const step = (name: string, command: string, args: ReadonlyArray<string>) =>
    run({ name, command, args, env: installerEnv(), logFile })

  say(`making a Python environment with Prefect ${version} in .cache/`)
  yield* step("python -m venv", python, ["-m", "venv", folder])
  // uv installs the hundred packages in seconds; where it cannot be had, pip does the same.
  const pip = ["-m", "pip", "install", "--quiet", "-r", requirements]
  yield* step("pip install uv", join(bin, "python"), ["-m", "pip", "install", "--quiet", "uv"]).pipe(
    Effect.andThen(
      step("uv pip install", join(bin, "uv"), [
        "pip",
        "install",
        "--quiet",
        "--python",
        join(bin, "python"),
        "-r",
        requirements
      ])
    ),
    Effect.catchTag("ProcessFailed", () => {
      say("installing with pip, which takes a little longer")
      return step("pip install", join(bin, "python"), pip)
    })
  )
  writeFileSync(marker, wanted)
  return venv
})
