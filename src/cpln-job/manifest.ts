/**
 * Kubernetes Jobs as people write them for kubectl: what the converter asks for beyond that is filled in.
 *
 * Invariant: pure and total; nothing that the manifest says is changed.
 */
import { isRecord, type JsonRecord, valueAt } from "../job/json.ts"

/** Labels, and a name to generate from: the job's own name, else "job". Anything of a wrong type is left as it is. */
export const completed = (manifest: JsonRecord): JsonRecord => {
  const metadata = valueAt(manifest, "metadata") ?? {}
  if (!isRecord(metadata)) return manifest
  const { generateName, labels, name } = metadata
  return {
    ...manifest,
    metadata: {
      ...metadata,
      labels: labels ?? {},
      generateName: generateName ?? (typeof name === "string" && name !== "" ? `${name}-` : "job-")
    }
  }
}
