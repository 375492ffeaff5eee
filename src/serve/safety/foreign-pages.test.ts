import { request } from "node:http"
import { text as textOfStream } from "node:stream/consumers"
import { expect, test } from "vitest"
import { ServedTiny } from "../../../test/served-tiny.ts"
import { requireLocalName, requireOrigins } from "./foreign-pages.ts"

test.each(["localhost", "localhost:8000", "app.localhost:80", "127.0.0.1:8000", "[::1]:8000", "10.0.0.7", undefined])(
  "%s is a name of this machine",
  (header) => expect(() => requireLocalName(header)).not.toThrow(),
)

test.each(["evil.test", "evil.test:8000", "localhost.evil.test", "127.0.0.1.evil.test:8000", "a b", "", "@", "[::1"])(
  "%j is not",
  (header) => expect(() => requireLocalName(header)).toThrow(/^this server answers at localhost, not at "/),
)

test.each(["*", "https://page.test", "http://localhost:5173", "http://[::1]:8080", "app://name"])(
  "%s is an origin",
  (origin) => expect(() => requireOrigins(["https://a.test", origin])).not.toThrow(),
)

test.each(["notanorigin", "example.com", "https://page.test/", "https://page.test/a", "https://Page.test", "null", ""])(
  "%j is not",
  (origin) => expect(() => requireOrigins(["https://a.test", origin])).toThrow(/ is not a web page's origin$/),
)

/** As a page asks whose name was let stand for this machine. */
async function askBy(host: string, { url }: ServedTiny, headers: object = {}): Promise<[number, string]> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    request({ hostname, port, path: "/v1/models", headers: { host, ...headers } }, async (answer) =>
      resolve([answer.statusCode!, await textOfStream(answer)]),
    )
      .on("error", reject)
      .end()
  })
}

test("a page under a foreign name is refused where nothing else guards the server", async () => {
  await using served = await ServedTiny.start()
  const [status, body] = await askBy("evil.test:8000", served)
  expect([status, JSON.parse(body).error]).toMatchObject([403, { type: "permission_error" }])
  expect((await askBy(new URL(served.url).host, served))[0]).toBe(200)
  await using guarded = await ServedTiny.start({ tokens: ["a token of enough letters"] })
  expect((await askBy("evil.test", guarded))[0]).toBe(401)
  expect((await askBy("evil.test", guarded, { authorization: "Bearer a token of enough letters" }))[0]).toBe(200)
  await using open = await ServedTiny.start({ open: true })
  expect((await askBy("evil.test", open))[0]).toBe(200)
})

test("what a page of another site sends without asking first is refused, and computes nothing", async () => {
  await using served = await ServedTiny.start()
  const post = (site: string, { url } = served) => {
    const form = new FormData()
    form.append("entries", JSON.stringify({ clip: { textual: { modelName: "tiny" } } }))
    form.append("text", "a text that nobody asked for")
    const headers = { "sec-fetch-site": site, origin: "https://page.test" }
    return fetch(`${url}/predict`, { method: "POST", body: form, headers })
  }
  const refused = await post("cross-site")
  expect([refused.status, await refused.json()]).toEqual([403, { detail: expect.stringContaining("--cors") }])
  const metrics = async () => (await fetch(`${served.url}/metrics`)).text()
  expect(await metrics()).toContain('mobileclip_computed{model="tiny",kind="texts"} 0')
  expect((await post("same-origin")).status).toBe(200)
  await using cors = await ServedTiny.start({ corsOrigins: ["https://page.test"] })
  expect((await post("cross-site", cors)).status).toBe(200)
})
