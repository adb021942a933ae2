/** Where the status server listens, as people write it. */

export interface Address {
  readonly host: string
  readonly port: number
}

/** `HOST:PORT`, or a port alone for this machine's own address; undefined for anything else. */
export const parseAddress = (text: string): Address | undefined => {
  const found = /^(?:(?:(\[[0-9a-f:.]+\]|[^\s:/[\]]+):)|:)?(\d{1,5})$/iu.exec(text.trim())
  if (found === null || Number(found[2]) > 65_535) return undefined
  return { host: (found[1] ?? "127.0.0.1").replace(/^\[|\]$/gu, ""), port: Number(found[2]) }
}

/** As it stands in a URL. */
export const addressText = ({ host, port }: Address): string =>
  `${host.includes(":") ? `[${host}]` : host}:${port}`
