/** The program with every command. The container build has its own entry, without the emulator. */
import { Command } from "effect/cli"
import { blocks } from "./cli/blocks.ts"
import { cleanup } from "./cli/cleanup.ts"
import { emulator } from "./cli/emulator.ts"
import { explain } from "./cli/explain.ts"
import { job } from "./cli/job.ts"
import { plan } from "./cli/plan.ts"
import { pool } from "./cli/pool.ts"
import { run } from "./cli/run.ts"
import { root, start } from "./cli/start.ts"

run(root.pipe(Command.withSubcommands([start, pool, blocks, job, plan, explain, cleanup, emulator])))
