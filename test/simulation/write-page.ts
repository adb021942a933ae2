/** Writes `docs/promises.md`: `bun test/simulation/write-page.ts`. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { page } from "./page.ts"

writeFileSync(join(import.meta.dirname, "../../docs/promises.md"), page())
