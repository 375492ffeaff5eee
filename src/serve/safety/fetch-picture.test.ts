import { once } from "node:events"
import { createServer, type RequestListener, type Server } from "node:http"
import { syncBuiltinESMExports } from "node:module"
import type { AddressInfo } from "node:net"
import os from "node:os"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { RequestError } from "../http/errors.ts"
import { fetchDefaults, isPublic, type NetworkRules, pictureFetcher, publicNetwork } from "./fetch-picture.ts"

test.each([
  ...["127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254"],
  ...["192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1"],
  ...["fd00:ec2::254", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::7f00:1", "64:ff9b::7f00:1"],
  ...["2002:7f00:1::", "2001:0:7f00::1", "2001:db8::1", "100::1", "nonsense", ""],
  // Azure's configuration of the machine.
  ...["168.63.129.16", "::ffff:168.63.129.16"],
])("%s is not of the public internet", (address) => expect(isPublic(address)).toBe(false))

test.each(["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])("%s is", (address) => expect(isPublic(address)).toBe(true))

test("this machine's own addresses are not, however they are written, and those beside them are", () => {
  const own = ["203.0.114.7", "2606:4700::7"]
  for (const address of ["203.0.114.7", "::ffff:203.0.114.7", "2606:4700:0:0::7"])
    expect([address, isPublic(address, own)]).toEqual([address, false])
  for (const address of ["203.0.114.8", "2606:4700::8"])
    expect([address, isPublic(address, own)]).toEqual([address, true])
})

test("they are those of its interfaces", () => {
  const faces = ["203.0.114.7", "fe80::1%a"].map((address) => ({ address })) as os.NetworkInterfaceInfo[]
  vi.spyOn(os, "networkInterfaces").mockReturnValue({ a: faces })
  syncBuiltinESMExports()
  expect(["203.0.114.7", "203.0.114.8"].map((address) => publicNetwork.isAllowed(address))).toEqual([false, true])
  vi.restoreAllMocks()
  syncBuiltinESMExports()
})

let server: Server
let port: number
const asked: string[] = []
const pages: Record<string, RequestListener> = {
  "/picture": (_, answer) => answer.end("bytes"),
  "/missing": (_, answer) => answer.writeHead(404).end(),
  "/large": (_, answer) => answer.end(Buffer.alloc(2000)),
  "/again": (_, answer) => answer.writeHead(302, { location: "/picture" }).end(),
  "/inside": (_, answer) => answer.writeHead(302, { location: `http://inside.test:${port}/picture` }).end(),
  "/file": (_, answer) => answer.writeHead(302, { location: "file:///etc/passwd" }).end(),
  "/loop": (_, answer) => answer.writeHead(302, { location: "/loop" }).end(),
  "/cut": (_, answer) => {
    answer.writeHead(200, { "content-length": "100" })
    answer.write("a", () => answer.destroy())
  },
  "/slow": () => {},
  "/endless": (_, answer) => void answer.writeHead(200).write("a"),
}

beforeAll(async () => {
  server = createServer((request, answer) => {
    asked.push(`${request.headers.host}${request.url}`)
    pages[request.url!]!(request, answer)
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  port = (server.address() as AddressInfo).port
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

/** outside.test is 127.0.0.1, which stands for the internet; inside.test is a private address. */
function network(): NetworkRules & { readonly lookups: string[] } {
  const lookups: string[] = []
  return {
    lookups,
    resolve: async (name) => {
      lookups.push(name)
      if (name === "outside.test") return ["127.0.0.1"]
      if (name === "inside.test") return ["10.0.0.1"]
      if (name === "both.test") return ["127.0.0.1", "10.0.0.1"]
      if (name === "silent.test") return new Promise(() => {})
      throw new Error("ENOTFOUND")
    },
    isAllowed: (address) => address === "127.0.0.1",
  }
}

const fetching = (url: string, rules: NetworkRules = network(), limits = {}) =>
  pictureFetcher({ ...fetchDefaults, seconds: 100, bytes: 1000, ...limits }, rules)(
    url,
    "images[1]",
    new AbortController().signal,
  )
const outside = (path: string) => `http://outside.test:${port}${path}`

test("a picture of the internet, and one after a redirect; the name is looked up once for each request", async () => {
  const rules = network()
  expect(Buffer.from(await fetching(outside("/picture"), rules)).toString()).toBe("bytes")
  expect(rules.lookups).toEqual(["outside.test"])
  expect(asked.at(-1)).toBe(`outside.test:${port}/picture`)
  expect(Buffer.from(await fetching(outside("/again"))).toString()).toBe("bytes")
})

test.each([
  ["a private address", () => "http://10.0.0.1/a.jpg", "it is not of the public internet"],
  ["this machine by its number", () => `http://127.0.0.1:${port}/picture`, "it is not of the public internet"],
  ["this machine in other numbers", () => `http://0x7f.1:${port}/picture`, "it is not of the public internet"],
  ["the clouds' metadata", () => "http://169.254.169.254/latest/meta-data/", "it is not of the public internet"],
  ["this machine in IPv6", () => `http://[::ffff:127.0.0.1]:${port}/picture`, "it is not of the public internet"],
])("%s is refused, before anything is asked", async (_what, url, message) => {
  const before = asked.length
  await expect(fetching(url(), publicNetwork)).rejects.toThrow(message)
  expect(asked).toHaveLength(before)
})

test("a request may name so many addresses, whose pictures share its bytes; the next request has its own", async () => {
  const limits = { ...fetchDefaults, seconds: 100, bytes: 12, addresses: 3 }
  const fetchPicture = pictureFetcher(limits, network())
  const first = new AbortController().signal
  const found = await Promise.allSettled(
    [0, 1, 2, 3].map((i) => fetchPicture(outside("/picture"), `images[${i}]`, first)),
  )
  const refusals = found.flatMap((each) => (each.status === "rejected" ? [each.reason.message] : []))
  const refused = (why: string) => `a picture cannot be fetched from its address: ${why}`
  const tooLarge = refused("with it, the request's pictures have more than 12 bytes")
  expect(refusals.sort()).toEqual([refused("a request may name 3"), tooLarge])
  expect(found[3]).toMatchObject({ status: "rejected", reason: { parameter: "images[3]" } })
  const second = new AbortController().signal
  expect(Buffer.from(await fetchPicture(outside("/picture"), "input", second)).toString()).toBe("bytes")
})

test.each([
  ["a name of a private address", () => `http://inside.test:${port}/picture`, "it is not of the public internet"],
  ["a name of both kinds", () => `http://both.test:${port}/picture`, "it is not of the public internet"],
  ["a redirect to a private address", () => outside("/inside"), "it is not of the public internet"],
  ["a redirect to a file", () => outside("/file"), "only http and https are fetched"],
  ["a loop", () => outside("/loop"), "it redirects too often"],
  ["a name that nobody knows", () => "http://nobody.test/a", "its name is not known"],
  ["what is not there", () => outside("/missing"), "its server answers 404"],
  ["what is too large", () => outside("/large"), "with it, the request's pictures have more than 1000 bytes"],
  ["what is cut", () => outside("/cut"), "it ends too early"],
  ["what takes too long", () => outside("/slow"), "it takes too long"],
  ["a name whose server does not answer", () => "http://silent.test/", "it takes too long"],
  ["a password", () => "http://a:b@outside.test/", "it has a user's name or password"],
  ["another protocol", () => "ftp://outside.test/", "only http and https are fetched"],
])("%s is refused", async (_what, url, message) => {
  const limits = message === "it takes too long" ? { seconds: 1 } : {}
  await expect(fetching(url(), network(), limits)).rejects.toMatchObject({
    ...{ kind: "invalid", message: `a picture cannot be fetched from its address: ${message}`, parameter: "images[1]" },
  })
})

test.each(["/slow", "/endless", "http://silent.test/"])("%s ends with the request that wants it", async (path) => {
  const request = new AbortController()
  const fetchPicture = pictureFetcher({ ...fetchDefaults, seconds: 100 }, network())
  const asking = fetchPicture(new URL(path, outside("/")).href, "input", request.signal)
  const reason = new RequestError("gone", "the client went away")
  setTimeout(() => request.abort(reason), 100)
  await expect(asking).rejects.toBe(reason)
})
