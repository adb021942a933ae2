/** Adapter for `slugs.json`: names, label keys and label values. An empty name and none are the same here. */
import { labelKeySlug, labelValueSlug, nameSlug } from "../../../src/job/slug.ts"
import { judge } from "./compare.ts"
import { type Adapter, eachCase, type JsonObject } from "./vector.ts"

export const run: Adapter = eachCase((each) => {
  const value = String(each.input["value"])
  return judge(each, { output: slugged(each.family, value) })
})

const slugged = (family: string, value: string): JsonObject => {
  switch (family) {
    case "name": {
      const slug = nameSlug(value)
      return { agent: slug ?? "", worker: slug ?? null }
    }
    case "label-key":
      return { slug: labelKeySlug(value) }
    default:
      return { slug: labelValueSlug(value) }
  }
}
