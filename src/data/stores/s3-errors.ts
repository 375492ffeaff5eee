/** Errors of S3 and its client: whether another attempt may help, and whether the machine or the request is at fault. */
import type { S3ServiceException } from "@aws-sdk/client-s3"
import { EnvironmentError, messageOf, oneLine, UserError } from "../../core/errors.ts"
import { failureOf, NetworkFailure } from "../../host/network/network.ts"
import { NoAccess } from "./storage.ts"

export class NoSuchObject extends UserError {}

/** The upload was completed, or removed by a clean-up. */
export class NoSuchUpload extends EnvironmentError {}

/** The client adds to messages of errors that have no metadata. */
export class TooLong extends Error {
  readonly $metadata = {}
}

export function statusOf(error: unknown): number | undefined {
  return (error as Partial<S3ServiceException>).$metadata?.httpStatusCode
}

/** S3's names for "not now", some of which come as a 400. */
const passing = new Set([
  ...["RequestTimeout", "RequestTimeoutException", "IncompleteBody", "SlowDown", "InternalError", "ServiceUnavailable"],
  ...["OperationAborted", "Throttling", "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded"],
])

/** S3's names for wrong credentials or a wrong clock; some come as a 400. */
const refused = new Set([
  ...["AccessDenied", "AllAccessDisabled", "AuthorizationHeaderMalformed", "ExpiredToken"],
  ...["InvalidAccessKeyId", "InvalidSecurity", "InvalidToken", "NotSignedUp", "RequestExpired"],
  ...["RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired"],
])

/** The client's error as one for the user, or as one after which to try again. */
export function errorOf(url: string, error: unknown): unknown {
  const status = statusOf(error)
  const { name = "", code } = error as { name?: string; code?: string }
  const reason = oneLine(messageOf(error), 200)
  const cause = { cause: error }
  if (error instanceof TooLong)
    return new UserError(`${url}: S3 answers with ${reason}`, "check the address, and who runs it", cause)
  if (name === "NoSuchBucket")
    return new UserError(`${url}: no such bucket`, "check the address and AWS_ENDPOINT_URL", cause)
  if (name === "NoSuchUpload") return new NoSuchUpload(`${url}: its upload is gone (404)`, "run again", cause)
  if (status === 404) return new NoSuchObject(`${url}: no such object (404)`, "check the address", cause)
  if (["CredentialsProviderError", "TokenProviderError"].includes(name)) {
    return new EnvironmentError(
      `${url}: no credentials for S3`,
      "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
      cause,
    )
  }
  if (refused.has(name) || status === 401 || status === 403) return new NoAccess(`${url}: no access (${name}, ${status})`, "check the credentials, the clock and who may use the bucket", cause) // biome-ignore format: a row
  if (status === undefined) {
    return code !== undefined || name === "TimeoutError" ? failureOf(error) : error
  }
  if (passing.has(name) || status >= 500 || status === 408 || status === 429) return new NetworkFailure(`S3 answered ${status} (${name})`) // biome-ignore format: a row
  return new UserError(`${url}: S3 answered ${status} (${name}: ${reason})`, undefined, cause)
}

/** A connection that breaks is Node's error with a code. */
export async function* brokenBody(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code ? new NetworkFailure(messageOf(error)) : error
  }
}
