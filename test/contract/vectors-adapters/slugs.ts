/** Adapter for `slugs.json`. Not written yet: every case fails, loudly. */
import { type Adapter, eachCase } from "./vector.ts"

export const run: Adapter = eachCase(() => ["there is no adapter for slugs yet"])
