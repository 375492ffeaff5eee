/**
 * LanceDB, which is installed by those who want it. Its package brings its own copy of Arrow's classes, and takes tables of these
 * only: that is why Arrow is loaded as it loads it.
 */
import { createRequire } from "node:module"
import { resolve } from "node:path"
import type { Connection } from "@lancedb/lancedb"
import { EnvironmentError, messageOf, oneLine, UserError } from "../../core/errors.ts"

export type Lance = typeof import("@lancedb/lancedb")
export type Arrow = typeof import("apache-arrow")

/** Throws UserError that says what to install. */
export async function loadLance(): Promise<{ lance: Lance; arrow: Arrow }> {
  try {
    const lance = await import("@lancedb/lancedb")
    return { lance, arrow: createRequire(import.meta.url)("apache-arrow") as Arrow }
  } catch (cause) {
    throw new UserError(
      `vectors in a LanceDB table need packages that cannot be loaded: ${oneLine(messageOf(cause))}`,
      "npm install @lancedb/lancedb@0.31 apache-arrow@18",
      { cause },
    )
  }
}

/**
 * Whoever has a table open sees what others write: at once in a folder, after some seconds in a bucket, where asking takes time.
 *
 * @param uri a folder, or an address that LanceDB knows: s3://bucket/path
 * @throws EnvironmentError where it cannot be reached
 */
export function connect({ connect }: Lance, uri: string, environment = process.env): Promise<Connection> {
  const isFolder = !/^\w+:\/\//.test(uri)
  const address = isFolder ? resolve(uri) : uri
  const storage = isFolder ? {} : { storageOptions: storageOptions(environment) }
  return inTable(uri, () => connect(address, { readConsistencyInterval: isFolder ? 0 : 5, ...storage }))
}

/** An endpoint by the name that Amazon's own programs read; keys and region are found by LanceDB itself. */
function storageOptions({ AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL }: NodeJS.ProcessEnv): Record<string, string> {
  const endpoint = AWS_ENDPOINT_URL_S3 ?? AWS_ENDPOINT_URL
  if (endpoint === undefined) return {}
  return { endpoint, allowHttp: String(endpoint.startsWith("http:")) }
}

/** Errors of LanceDB have one line with what to do. */
export async function inTable<T>(uri: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof UserError) throw error
    const text = messageOf(error).replace(/\s+/g, " ")
    throw new EnvironmentError(
      `LanceDB at ${uri}: ${oneLine(text, 300)}`,
      "look whether it can be reached and has room",
      {
        cause: error,
      },
    )
  }
}
