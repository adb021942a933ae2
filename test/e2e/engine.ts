/** The player of the flow engine for virtual jobs, as a process of its own. */
import { join } from "node:path"
import type { ControlPlane } from "../../scripts/local/control-plane.ts"
import { root } from "../../scripts/local/paths.ts"
import { start } from "../../scripts/local/process.ts"

/** Starts it in the current scope; `prefect` is the API's base. */
export const startEngine = (
  folder: string,
  prefect: string,
  { token, url }: Pick<ControlPlane, "url" | "token">
) =>
  start({
    name: "engine",
    command: join(root, "node_modules", ".bin", "bun"),
    args: [
      join(root, "test", "engine", "main.ts"),
      "--prefect",
      prefect,
      "--emulator",
      url,
      "--token",
      token
    ],
    env: { ...(process.env as Record<string, string>) },
    logFile: join(folder, "engine.log"),
    cwd: root
  })
