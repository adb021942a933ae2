/**
 * Kubernetes Jobs as people write them for kubectl: what the converter asks for beyond that is filled in.
 *
 * Invariant: pure and total; nothing that the manifest says is changed, but that a name becomes one to generate from.
 */
import { isRecord, type JsonRecord, valueAt } from "../job/json.ts"

/** Labels, and a name to generate from: the job's own name, else "job". Anything of a wrong type is left as it is. */
export const completed = (manifest: JsonRecord): JsonRecord => {
  const metadata = valueAt(manifest, "metadata") ?? {}
  if (!isRecord(metadata)) return manifest
  const { name, ...others } = metadata
  const isNamed = typeof name === "string" && name !== "" && valueAt(others, "generateName") == null
  return {
    ...manifest,
    metadata: {
      ...(isNamed ? others : metadata),
      labels: valueAt(metadata, "labels") ?? {},
      generateName: isNamed ? `${name}-` : (valueAt(metadata, "generateName") ?? "job-")
    }
  }
}
