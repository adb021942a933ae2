/** Adapter for `base-job-template.json`. Not written yet: every case fails, loudly. */
import { type Adapter, eachCase } from "./vector.ts"

export const run: Adapter = eachCase(() => ["there is no adapter for base-job-template yet"])
