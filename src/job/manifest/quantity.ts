/**
 * Quantities of Kubernetes: a decimal number with a binary or decimal suffix, or an exponent.
 *
 * Invariant: what is read here means the same to Kubernetes (apimachinery `resource.Quantity`); the text itself is
 * passed on as it was written.
 */

const pattern = /^\+?(\d{1,18}(?:\.\d{0,9})?|\.\d{1,9})(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,2}))?$/u

const scale: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
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

/** In the base unit: cores, or bytes. Undefined for what is no quantity, a negative one included. */
export const quantity = (text: string): number | undefined => {
  const found = pattern.exec(text)
  if (found === null) return undefined
  const [, digits = "", suffix, exponent] = found
  const factor = suffix === undefined ? 10 ** Number(exponent ?? 0) : (scale[suffix] ?? 1)
  return Number(digits) * factor
}
