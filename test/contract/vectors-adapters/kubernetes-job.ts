/** Adapter for `kubernetes-job.json`. Not written yet: every case fails, loudly. */
import { type Adapter, eachCase } from "./vector.ts"

export const run: Adapter = eachCase(() => ["there is no adapter for kubernetes-job yet"])
