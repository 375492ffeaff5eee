/** What stores need to know about their environment. */
import { tmpdir } from "node:os"
import { basename } from "node:path"
import { EnvironmentError } from "../../core/errors.ts"
import { temporaryFile } from "../../host/files/temporary.ts"
import { type NetworkFailure, triedText } from "../../host/network/network.ts"

export interface StorageOptions {
  /** Where copies of remote files, and files on their way out, are kept. Default: the system's. */
  readonly temporaryFolder?: string
  /** Default: the process's. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Seconds before each further attempt; each wait is drawn between half and one and a half of that. */
  readonly retryDelays?: readonly number[]
  /** The answer, and every further piece of it, must come within this many seconds. */
  readonly timeoutSeconds?: number
  /** Is told why there is another attempt. */
  readonly onRetry?: (text: string) => void
  /** Default: HF_ENDPOINT, HF_TOKEN. */
  readonly hub?: { readonly endpoint?: string; readonly token?: string | null }
}

export interface StoreSettings extends StorageOptions {
  readonly temporaryFolder: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly retryDelays: readonly number[]
  readonly timeoutSeconds: number
}

/** Bytes of a file that is read into memory as a whole: lists, records, configurations. */
export const mostBytesWhole = 2 ** 27

/** One minute in total, not counting the attempts. */
const retryDelays = [1, 2, 4, 8, 16, 32]

export function storeSettings(options: StorageOptions): StoreSettings {
  return {
    ...options,
    temporaryFolder: options.temporaryFolder ?? tmpdir(),
    env: options.env ?? process.env,
    retryDelays: options.retryDelays ?? retryDelays,
    timeoutSeconds: options.timeoutSeconds ?? 60,
  }
}

/** A new name for a copy of the file. */
export function temporaryPath({ temporaryFolder }: StoreSettings, url: string): string {
  const name = basename(url.replace(/[?#].*$/, "")).replaceAll(/[^\w.-]/g, "_")
  return temporaryFile("copy", name.slice(-80), temporaryFolder)
}

/** The retries for a URL. Waits are random, because thousands of workers that fail together must not come back together. */
export function retriesOf({ retryDelays, onRetry }: StoreSettings, url: string, signal?: AbortSignal) {
  return {
    delays: retryDelays.map((seconds) => seconds * (0.5 + Math.random())),
    signal,
    onRetry: onRetry && ((text: string) => onRetry(`${url}: ${text}`)),
    giveUp: ({ message }: NetworkFailure, attempts: number) =>
      new EnvironmentError(
        `${url}: ${message}${triedText(attempts)}`,
        "check the address and the network, and run again",
      ),
  }
}
