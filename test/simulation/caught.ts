/**
 * A seed that catches each mutant fast, by name. Not needed: further seeds are tried where one does not any more.
 */
export const caughtBy: Readonly<Record<string, number>> = {}
