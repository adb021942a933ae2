/** Quantities of cpu (in millicores) and memory (in MiB) as a Kubernetes-like text. Undefined for what is none. */

const cpuPattern = /^(\d{1,8}(?:\.\d{1,6})?)(m?)$/u

export const millicores = (text: string): number | undefined => {
  const found = cpuPattern.exec(text)
  return found === null ? undefined : Number(found[1]) * (found[2] === "m" ? 1 : 1000)
}

const bytesOf: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40
}

const memoryPattern = /^(\d{1,15}(?:\.\d{1,6})?)([kKMGT]i?|)$/u

export const mebibytes = (text: string): number | undefined => {
  const found = memoryPattern.exec(text)
  const unit = bytesOf[found?.[2] ?? ""]
  return found === null || unit === undefined ? undefined : (Number(found[1]) * unit) / 2 ** 20
}
