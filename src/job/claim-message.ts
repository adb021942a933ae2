/**
 * The messages that claims and hand-backs leave in a run's state history: the only memory that outlives the agent.
 *
 * Invariant: wire format. An agent of any version reads what another wrote, and takes a text of another form for no claim.
 */

export interface ClaimMessage {
  /** The claimant's workload link, or its name. */
  readonly agent: string
  readonly transitionId: string
  /** `org:gvc:workload`, or "-" where nothing will be started. */
  readonly where: string
  /** 1 for the first claim of the run. */
  readonly tryNumber: number
  /** Command of a handed-back attempt that this claim takes over. */
  readonly adopts?: string
}

export interface HandBackMessage extends Omit<ClaimMessage, "adopts"> {
  readonly reason: "lost" | "drain"
}

const body = ({ transitionId, where, tryNumber }: Omit<ClaimMessage, "agent">): string =>
  `attempt ${transitionId} | ${where} | try ${tryNumber}`

export const claimMessage = ({ agent, adopts, ...rest }: ClaimMessage): string =>
  `Claimed by ${agent} | ${body(rest)}${adopts === undefined ? "" : ` | adopts ${adopts}`}`

export const handBackMessage = ({ agent, reason, ...rest }: HandBackMessage): string =>
  `Handed back by ${agent} | ${body(rest)} | ${reason}`

// An agent's name may hold anything, " | " too; the fixed part at the end decides.
const claimed = /^Claimed by (.+) \| attempt (\S+) \| (\S+) \| try (\d{1,9})(?: \| adopts (\S+))?$/su
const handedBack = /^Handed back by (.+) \| attempt (\S+) \| (\S+) \| try (\d{1,9}) \| (lost|drain)$/su

/** Undefined for any text that is no claim of this kind of agent. */
export const parseClaimMessage = (text: string): ClaimMessage | undefined => {
  const found = claimed.exec(text)
  if (found === null) return undefined
  const [, agent = "", transitionId = "", where = "", tried = "", adopts] = found
  return { agent, transitionId, where, tryNumber: Number(tried), ...(adopts === undefined ? {} : { adopts }) }
}

/** Undefined for any text that is no hand-back of this kind of agent. */
export const parseHandBackMessage = (text: string): HandBackMessage | undefined => {
  const found = handedBack.exec(text)
  if (found === null) return undefined
  const [, agent = "", transitionId = "", where = "", tried = "", reason] = found
  return { agent, transitionId, where, tryNumber: Number(tried), reason: reason as "lost" | "drain" }
}
