/**
 * Quantities of cpu (in millicores) and memory (in MiB) as texts in the manner of Kubernetes. Undefined for what is none.
 *
 * Invariant: every form that Kubernetes knows is known here: decimal and binary suffixes, `m`, and exponents such as `1e9`.
 */

const unitOf: Readonly<Record<string, number>> = {
  "": 1,
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60
}

/** Digits with or without a point, then a suffix or an exponent; `1E` is the suffix, `1E3` the exponent. */
const pattern = /^\+?(\d{1,18}(?:\.\d{0,9})?|\.\d{1,9})(?:[eE]([+-]?\d{1,2})|([KMGTPE]i|[numkKMGTPE])?)$/u

const amountOf = (text: string): number | undefined => {
  const found = pattern.exec(text)
  if (found === null) return undefined
  const [, digits, exponent, suffix = ""] = found
  const amount = Number(digits) * (exponent === undefined ? unitOf[suffix]! : 10 ** Number(exponent))
  return Number.isFinite(amount) ? amount : undefined
}

/** Whole where it should be: a thousandth is no binary fraction. */
const rounded = (value: number): number => Math.round(value * 1e6) / 1e6

export const millicores = (text: string): number | undefined => {
  const cores = amountOf(text)
  return cores === undefined ? undefined : rounded(cores * 1000)
}

export const mebibytes = (text: string): number | undefined => {
  const bytes = amountOf(text)
  return bytes === undefined ? undefined : bytes / 2 ** 20
}
