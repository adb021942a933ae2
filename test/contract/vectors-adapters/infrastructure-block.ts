/** Adapter for `infrastructure-block.json`. Not written yet: every case fails, loudly. */
import { type Adapter, eachCase } from "./vector.ts"

export const run: Adapter = eachCase(() => ["there is no adapter for infrastructure-block yet"])
