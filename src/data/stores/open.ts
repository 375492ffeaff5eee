/** One storage for all kinds of URLs. */
import { UserError } from "../../core/errors.ts"
import { requireNoCredentials, webAddress } from "../../host/network/address.ts"
import { HttpStorage } from "./http.ts"
import { HubStorage } from "./hub.ts"
import { LocalStorage } from "./local.ts"
import { type StorageOptions, storeSettings } from "./options.ts"
import { S3Storage } from "./s3.ts"
import type { Storage } from "./storage.ts"

export type { StorageOptions } from "./options.ts"

/** Whether a name is a URL of any scheme, and not a path. */
export function isUrl(name: string): boolean {
  return /^[a-z][a-z0-9+.-]+:\/\//i.test(name)
}

/** Whether it is a path, or the URL of a file of this machine. */
export function isLocal(name: string): boolean {
  return !isUrl(name) || /^file:/i.test(name)
}

/**
 * Files by path, `file://`, `http(s)://`, `s3://` and `hf://`. Copies of remote files are kept until they are disposed.
 * Failures of the network are tried again; the last one is a UserError that names the URL. A URL with a user name or a
 * password is refused.
 */
export function openStorage(options: StorageOptions = {}): Storage {
  const settings = storeSettings(options)
  const http = new HttpStorage(settings)
  const stores: Readonly<Record<string, Storage>> = {
    file: new LocalStorage(),
    http,
    https: http,
    s3: new S3Storage(settings),
    hf: new HubStorage(settings),
  }
  const storeOf = (url: string): Storage => {
    if (isUrl(url)) requireNoCredentials(url)
    const scheme = isUrl(url) ? url.slice(0, url.indexOf(":")).toLowerCase() : "file"
    if (scheme.startsWith("http")) webAddress(url, "the address", "check it")
    if (Object.hasOwn(stores, scheme)) return stores[scheme]!
    throw new UserError(
      `${url}: ${scheme}:// is not read here`,
      `known are paths and ${Object.keys(stores).join("://, ")}://`,
    )
  }
  return {
    fetch: async (url, options) => storeOf(url).fetch(url, options),
    readBytes: async (url) => storeOf(url).readBytes(url),
    put: async (url, chunks, options) => storeOf(url).put(url, chunks, options),
    stat: async (url) => storeOf(url).stat(url),
    list: async (folder) => storeOf(folder).list(folder),
    remove: async (url) => storeOf(url).remove(url),
  }
}
