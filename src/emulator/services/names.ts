/**
 * Names that only the service's network knows, as addresses of this machine. Pure but for the store that it reads.
 *
 * Invariant: `NAME.GVC.cpln.local` in a value becomes the address that the workload of that name listens on; names of
 * workloads that do not exist or do not listen stay as they are.
 */
import { gvcPath } from "../links.ts"
import type { Store } from "../store.ts"
import { firstPort } from "./scale.ts"

const internal = /\b([a-z][-a-z0-9]*)\.([a-z][-a-z0-9]*)\.cpln\.local(?::(\d{1,5}))?/gu

export const withAddresses = (value: string, org: string, store: Store["Service"]): string =>
  value.includes(".cpln.local")
    ? value.replaceAll(internal, (whole, name: string, gvc: string, port: string | undefined) => {
        const workload = store.get(`${gvcPath(org, gvc)}/workload/${name}`)
        const listens = workload === undefined ? undefined : firstPort(workload.body)
        return listens === undefined ? whole : `127.0.0.1:${port ?? listens}`
      })
    : value
