import { once } from "node:events"
import { createServer, type RequestListener, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, expect, test } from "vitest"
import { fetchDefaults, isPublic, type NetworkRules, pictureFetcher, publicNetwork } from "./fetch-picture.ts"

test.each([
  ...["127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254"],
  ...["192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1"],
  ...["fd00:ec2::254", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::7f00:1", "64:ff9b::7f00:1"],
  ...["2002:7f00:1::", "2001:0:7f00::1", "2001:db8::1", "100::1", "nonsense", ""],
])("%s is not of the public internet", (address) => expect(isPublic(address)).toBe(false))

test.each(["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])("%s is", (address) => expect(isPublic(address)).toBe(true))

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
      throw new Error("ENOTFOUND")
    },
    isAllowed: (address) => address === "127.0.0.1",
  }
}

const never = new AbortController().signal
const fetching = (url: string, rules: NetworkRules = network(), limits = {}) =>
  pictureFetcher({ ...fetchDefaults, seconds: 1, bytes: 1000, ...limits }, rules)(url, "images[1]", never)
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

test.each([
  ["a name of a private address", () => `http://inside.test:${port}/picture`, "it is not of the public internet"],
  ["a name of both kinds", () => `http://both.test:${port}/picture`, "it is not of the public internet"],
  ["a redirect to a private address", () => outside("/inside"), "it is not of the public internet"],
  ["a redirect to a file", () => outside("/file"), "only http and https are fetched"],
  ["a loop", () => outside("/loop"), "it redirects too often"],
  ["a name that nobody knows", () => "http://nobody.test/a", "its name is not known"],
  ["what is not there", () => outside("/missing"), "its server answers 404"],
  ["what is too large", () => outside("/large"), "it has more than 1000 bytes"],
  ["what is cut", () => outside("/cut"), "it ends too early"],
  ["what takes too long", () => outside("/slow"), "it takes too long"],
  ["a password", () => "http://a:b@outside.test/", "it has a user's name or password"],
  ["another protocol", () => "ftp://outside.test/", "only http and https are fetched"],
])("%s is refused", async (_what, url, message) => {
  await expect(fetching(url())).rejects.toMatchObject({
    ...{ kind: "invalid", message: `a picture cannot be fetched from its address: ${message}`, parameter: "images[1]" },
  })
})
