/** Licences of weights: of published files, and of models that were trained. */
import { UserError } from "../core/errors.ts"
import { licenses, type Release, released } from "../hub/released.ts"

/**
 * A file whose repository is not known has the licence of all releases of its model where that forbids something:
 * permission is not assumed.
 *
 * @param release the row of the file's repository
 */
export function publishedLicense(variant: string, release: Release | null): string {
  if (release?.license) return release.license
  const ids = new Set(released.filter((other) => other.variant === variant).map(({ license }) => license))
  const [only] = ids
  return ids.size === 1 && only && !licenses[only].commercial ? only : "unknown: see where the file is from"
}

/** Weights that a model began with or learned from. */
export interface Origin {
  /** For messages. */
  readonly name: string
  readonly license: string
}

interface LicenseOrigins {
  /** What the user calls the licence; null: nothing was said. */
  readonly own: string | null
  /** The weights that training began with; null: it began with none. */
  readonly start: Origin | null
  readonly teachers?: readonly Origin[]
}

/**
 * Its maker's own, unless weights that it came from forbid that.
 *
 * @throws UserError where the user names a licence that the terms of an origin do not allow
 */
export function trainedLicense({ own, start, teachers = [] }: LicenseOrigins): string {
  const binding = [start, ...teachers].find((origin) => origin !== null && isResearchOnly(origin.license))
  if (!binding) return own ?? start?.license ?? "your own"
  if (own === null || own === binding.license) return binding.license
  throw new UserError(
    `${binding.name} is under ${binding.license}, which is for research only and holds for all that is made from it`,
    `leave out --license, or begin with weights that allow it: \`mobileclip models --free\` lists them`,
  )
}

function isResearchOnly(license: string): boolean {
  return Object.values(licenses).some(({ id, commercial }) => id === license && !commercial)
}
