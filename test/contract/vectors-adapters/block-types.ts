/**
 * Adapter for `block-types.json`. For now it checks the data alone: that what a server serves is what was posted.
 *
 * Invariant: one outcome for each block type of the file.
 */
import { differences, at } from "./compare.ts"
import { type Adapter, isObject, type Json, listOf, objectOf } from "./vector.ts"

export const run: Adapter = ({ content }) =>
  listOf(content["blockTypes"]).map((each) => {
    const entry = objectOf(each)
    return { id: String(entry["id"]), title: String(entry["className"]), failures: failuresOf(entry) }
  })

const failuresOf = (entry: Json): ReadonlyArray<string> => {
  const [posted, served] = [at(entry, "/posted/blockType"), at(entry, "/served/blockType")]
  const [postedSchema, servedSchema] = [at(entry, "/posted/blockSchema"), at(entry, "/served/blockSchema")]
  if (![posted, served, postedSchema, servedSchema].every(isObject))
    return ["/: expected posted and served parts"]
  const { is_protected: _protected, ...type } = objectOf(served)
  const { checksum, ...schema } = objectOf(servedSchema)
  return [
    ...differences(posted ?? null, type),
    ...differences(postedSchema ?? null, schema),
    ...differences(at(posted, "/slug") ?? null, at(postedSchema, "/fields/block_type_slug")),
    ...(/^sha256:[0-9a-f]{64}$/u.test(String(checksum))
      ? []
      : ["/served/blockSchema/checksum: expected sha256"])
  ]
}
