/** Which files a model has, where they are, and how their contents are known: what is kept of it decides what is fetched again. */
import { z } from "zod"
import { isInside } from "../../core/inside.ts"

const listedFile = z.object({
  url: z.string(),
  /** Null where nobody says. */
  bytes: z.int().nonnegative().nullable(),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
  /** What the server calls this version of the contents. */
  tag: z.string().nullable(),
})

export type ListedFile = Readonly<z.infer<typeof listedFile>>

const listing = z.object({
  /** An address, or a repository: for messages, and for those who look what is kept. */
  source: z.string(),
  /** The commit of a repository; null elsewhere. */
  commit: z.string().nullable(),
  /** `mobileclip.json` as it is; null in the layouts of others. */
  manifest: z.unknown(),
  files: z.record(z.string().refine(isInside), listedFile),
})

export type Listing = Readonly<z.infer<typeof listing>>

/** Null for what is not one: a listing that an older version kept. */
export function parseListing(value: unknown): Listing | null {
  return listing.safeParse(value).data ?? null
}
