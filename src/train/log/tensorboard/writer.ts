/**
 * Event files that TensorBoard reads while they grow: `events.out.tfevents.<seconds>.<host>.<pid>.<n>`, a file per start of
 * a run. Each event is a TFRecord: its length in 8 bytes, their checksum in 4, the event, its checksum in 4, little-endian.
 */
import { closeSync, openSync, writeSync } from "node:fs"
import { hostname } from "node:os"
import { join } from "node:path"
import { fileError } from "../../../host/files/file-error.ts"
import { makeDirectory } from "../../../host/files/files.ts"
import { type EvaluationEntry, isStep, type LogEntry, type StepEntry, totalLoss } from "../entries.ts"
import { type Event, type EventPicture, type EventValue, encodeEvent } from "./events.ts"

interface EventFileOptions {
  /** The step that the run goes on from: TensorBoard ignores what older files hold after it. */
  readonly resumeStep?: number
  /** Seconds since 1970. */
  readonly now?: () => number
}

export class EventFile {
  private constructor(
    readonly path: string,
    private readonly descriptor: number,
    private readonly now: () => number,
  ) {}

  /** Creates the folder, and a new file in it. */
  static async open(folder: string, options: EventFileOptions = {}): Promise<EventFile> {
    const { resumeStep = 0, now = () => Date.now() / 1000 } = options
    await makeDirectory(folder)
    const { path, descriptor } = openNew(join(folder, `events.out.tfevents.${Math.floor(now())}.${hostname()}`))
    const file = new EventFile(path, descriptor, now)
    file.write(0, { kind: "version" })
    if (resumeStep > 0) file.write(resumeStep + 1, { kind: "restart" })
    return file
  }

  /** Adds the scalars of a step or an evaluation. */
  add(entry: LogEntry): void {
    this.write(entry.step, { kind: "summary", values: isStep(entry) ? stepValues(entry) : taskValues(entry) })
  }

  addPicture(step: number, tag: string, picture: EventPicture): void {
    this.write(step, { kind: "summary", values: { [tag]: picture } })
  }

  close(): void {
    closeSync(this.descriptor)
  }

  private write(step: number, content: Event["content"]): void {
    try {
      writeSync(this.descriptor, tfRecord(encodeEvent({ wallTime: this.now(), step, content })))
    } catch (error) {
      throw fileError(error, "writing", this.path)
    }
  }
}

/** One record of a TFRecord file. */
export function tfRecord(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(data.length + 16)
  const view = new DataView(record.buffer)
  view.setBigUint64(0, BigInt(data.length), true)
  view.setUint32(8, maskedCrc32c(record.subarray(0, 8)), true)
  record.set(data, 12)
  view.setUint32(12 + data.length, maskedCrc32c(data), true)
  return record
}

function stepValues(entry: StepEntry): Record<string, EventValue> {
  const { losses, learningRate, gradNorm, logitScale, seconds, dataSeconds, samplesSeen } = entry
  const parts = Object.entries(losses).map(([name, loss]) => [`train/loss/${name}`, loss] as const)
  return {
    "train/loss": totalLoss(entry),
    ...(parts.length > 1 ? Object.fromEntries(parts) : {}),
    "train/learning_rate": learningRate,
    "train/grad_norm": gradNorm,
    "train/logit_scale": logitScale,
    "train/samples_seen": samplesSeen,
    "time/step_seconds": seconds,
    "time/data_wait": seconds > 0 ? dataSeconds / seconds : 0,
  }
}

function taskValues({ tasks, average }: EvaluationEntry): Record<string, EventValue> {
  const values = Object.entries(tasks).map(([name, value]) => [`zero_shot/${name}`, value] as const)
  return { ...Object.fromEntries(values), "zero_shot/average": average }
}

/** TensorBoard reads files in the order of their names, so an existing file is not written to again. */
function openNew(name: string): { readonly path: string; readonly descriptor: number } {
  for (let number = 0; ; number++) {
    const path = `${name}.${process.pid}.${number}`
    try {
      return { path, descriptor: openSync(path, "wx") }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw fileError(error, "writing", path)
    }
  }
}

// ------------------------------------------------------------------------------------------------- checksums

/** CRC-32C (Castagnoli), reflected, polynomial 0x1EDC6F41: what TFRecord files are checked with. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc
})

/** @returns 0 .. 2^32 - 1 */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = table[(crc ^ byte) & 255]! ^ (crc >>> 8)
  return ~crc >>> 0
}

/** Rotated and shifted, because the CRC of data that contains CRCs is weak. Source: TensorFlow's crc32c.h. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}
