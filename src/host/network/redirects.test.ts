import { expect, test } from "vitest"
import { UserError } from "../../core/errors.ts"
import { fetchFollowing } from "./redirects.ts"

/** A web of redirects: where each address leads, and what was asked for. */
function web(redirects: Readonly<Record<string, string>>) {
  const asked: { url: string; authorization: string | null }[] = []
  const fetch = async (input: unknown, init?: RequestInit) => {
    const url = String(input)
    asked.push({ url, authorization: new Headers(init?.headers).get("Authorization") })
    expect(init?.redirect).toBe("manual")
    const Location = redirects[url]
    return Location === undefined ? new Response("here") : new Response(null, { status: 302, headers: { Location } })
  }
  return { fetch: fetch as typeof globalThis.fetch, asked }
}

const init = { headers: { Authorization: "Bearer secret" } }

test("redirects are followed to the answer, and the token stays at its origin", async () => {
  const { fetch, asked } = web({ "https://a/x": "/y", "https://a/y": "https://b/z", "https://b/z": "https://a/end" })
  expect(await (await fetchFollowing(fetch, new URL("https://a/x"), init)).text()).toBe("here")
  expect(asked).toEqual([
    { url: "https://a/x", authorization: "Bearer secret" },
    { url: "https://a/y", authorization: "Bearer secret" },
    { url: "https://b/z", authorization: null },
    { url: "https://a/end", authorization: null },
  ])
})

test.each([
  ["https://a/x", "http://a/x", "a redirects to http://a, which is not followed"],
  ["https://a/x", "file:///etc/passwd", "a redirects to file://, which is not followed"],
  ["http://a/x", "ftp://a/x", "a redirects to ftp://a, which is not followed"],
  ["http://a/x", "http://", "a redirects to what is not an address, which is not followed"],
  ["http://a/x", "http://a/x", "a redirects without end"],
  ["http://a/x", "http://u:SECRET@b/y", "a redirects to an address at b with a user name or a password, which"],
  ["http://a/x", "//SECRET@b/y", "a redirects to an address at b with a user name or a password, which"],
])("%s -> %s is refused", async (from, to, message) => {
  const { fetch, asked } = web({ [from]: to })
  const error = await fetchFollowing(fetch, new URL(from), {}).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(UserError)
  expect((error as UserError).message).toContain(message)
  expect((error as UserError).message).not.toContain("SECRET")
  expect(asked.every(({ url }) => url === from)).toBe(true)
  expect(asked.length).toBeLessThan(12)
})

test("http may lead to https", async () => {
  const { fetch } = web({ "http://a/x": "https://a/x" })
  expect((await fetchFollowing(fetch, new URL("http://a/x"), {})).ok).toBe(true)
})
