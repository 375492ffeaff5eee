import { expect, test } from "vitest"
import { EnvironmentError } from "../../core/errors.ts"
import { failuresOf, triedText, withRetries } from "./network.ts"

/** What `fetch` throws. */
const broken = (code: string, message: string, more: object = {}) =>
  new TypeError("fetch failed", { cause: Object.assign(new Error(message), { code, ...more }) })

/** How often a server was asked, why it was asked again, and the final message. */
async function asked(fail: () => Promise<unknown>, delays = [0, 0, 0, 0, 0]) {
  const notes: string[] = []
  let attempts = 0
  const attempt = () => {
    attempts++
    return failuresOf(fail(), "hub: ")
  }
  const giveUp = ({ message }: Error, tries: number) => new EnvironmentError(`hub: ${message}${triedText(tries)}`)
  const error = await withRetries(attempt, { delays, onRetry: (text) => notes.push(text), giveUp }).catch(
    (reason: Error) => reason,
  )
  expect(error).toBeInstanceOf(EnvironmentError)
  return { attempts, notes, message: (error as Error).message }
}

const throwing = (error: unknown) => async () => {
  throw error
}

test("a host that is not known is asked for once more, and named", async () => {
  const error = broken("ENOTFOUND", "getaddrinfo ENOTFOUND huggingface.co", { hostname: "huggingface.co" })
  expect(await asked(throwing(error))).toEqual({
    attempts: 2,
    notes: ["huggingface.co was not found; trying again in 0 s (attempt 2 of 2)"],
    message: "hub: huggingface.co was not found (tried 2 times)",
  })
})

test("a name server that does not answer now may answer later", async () => {
  const error = broken("EAI_AGAIN", "getaddrinfo EAI_AGAIN huggingface.co", { hostname: "huggingface.co" })
  expect(await asked(throwing(error))).toMatchObject({
    attempts: 6,
    message: "hub: no name server answers for huggingface.co (tried 6 times)",
  })
})

test.each([
  ["CERT_HAS_EXPIRED", "certificate has expired"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "self-signed certificate in certificate chain"],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "unable to verify the first certificate"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "Hostname/IP does not match certificate's altnames"],
])("%s is not asked for again", async (code, message) => {
  expect(await asked(throwing(broken(code, message)))).toEqual({
    ...{ attempts: 1, notes: [] },
    message: `hub: hub: ${message}`,
  })
})

test("a port that fetch never asks is not asked for again", async () => {
  expect(await asked(() => fetch("http://127.0.0.1:1/"))).toEqual({
    ...{ attempts: 1, notes: [] },
    message: "hub: hub: bad port",
  })
})

test("a connection that is refused or breaks is tried as often as there are delays", async () => {
  const error = broken("ECONNREFUSED", "connect ECONNREFUSED 127.0.0.1:9")
  expect((await asked(throwing(error))).attempts).toBe(6)
  expect((await asked(throwing(new TypeError("terminated")), [0])).message).toBe(
    "hub: hub: the connection broke (tried 2 times)",
  )
})
