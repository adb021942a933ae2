/**
 * Recorded looks made small for as long as they wait in memory: each is compressed against words that all of them share.
 *
 * Invariant: what is unpacked is what was packed. The words are no format: they may change with the code, because what is
 * packed never leaves the process.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib"

/** The most frequent last, where a reference to it costs least. */
const shared = Buffer.from(
  [
    '"_tag":"Absent","gone":true,"provenAbsent":true,"whose":"ours","notFound":1},"strays":[{',
    '"_tag":"Unreachable","kind":"Unavailable","why":"not ours to judge: "retryType":"in process","SCHEDULED","PAUSED"',
    '"_tag":"Final","stage":"failed","looks":1,"age":,"exit":{"code":1,"text":"exit code 137 (killed, often because it ran out of memory)"',
    '"execution":{"exitCode":1,"reason":"Error","condition":"BackoffLimitExceeded"},"_tag":"MainEnded","mainEndedAge":',
    '"_tag":"Propose","state":"CRASHED","why":"the job ended with exit code 0 and never reported","thenStop":false',
    '"_tag":"Stop","why":"the run was cancelled"}"state":"CANCELLED","cancelling: the runner inside the job has its grace"',
    '"COMPLETED","CANCELLING","name":"Cancelling","failed, seen once: looking again","stage":"completed","cancelled"',
    '{"first":{"agent":1795000000000,"prefect":1795000000000,"cpln":1795000000000},"facts":{"run":{"type":"PENDING",',
    '"runCount":0,"name":"Pending","stateId":"","since":"2026-11-25T00:00:00.000000Z","message":"Claimed by ',
    '/org/gvc/workload/prefect-agent | attempt  | :: | try 1","transitionId":"","pauseReschedule":false,"dueTime":"',
    '"type":"RUNNING","runCount":1,"name":"Running","startTime":"2026-11-25T00:00:00.000000+00:00","pid":"',
    '"},"ours":true,"look":{"_tag":"Found","command":{"id":"","where":"","stage":"pending","created":"2026-11-25T00:00:00.000Z",',
    '"sides":false,"runner":true,"lastModified":"","attempt":"_","pool":"","agent":""},"stopAsked":false,"stopWanted":false,',
    '"failedLooks":0},"strays":[],"deadline":null},"view":{"phase":"pending","phaseAge":,"sinceStart":},"observation":{"_tag":"Pending","age":',
    '"stage":"running","view":{"phase":"running","observation":{"_tag":"Live","runner":true,"stopWanted":false},',
    '"decision":{"_tag":"Wait","why":"the job is starting"}}"the job runs"}}'
  ].join("")
)

/** What is packed is a kilobyte or two: the usual window would take 400 kB for each, a thousand times over after a restart. */
const options = { dictionary: shared, windowBits: 12, memLevel: 4 }

/** One character a byte: text is the smallest thing to keep. */
export const pack = (text: string): string => deflateRawSync(text, options).toString("latin1")

export const unpack = (packed: string): string =>
  inflateRawSync(Buffer.from(packed, "latin1"), options).toString()
