import { expect, test } from "vitest"
import { UserError } from "../../core/errors.ts"
import { requireNoCredentials, webAddress, withoutCredentials } from "./address.ts"

const secret = /USER|SECRET/

test.each([
  "http://USER:SECRET@host/x.tar",
  "https://SECRET@host/x.tar",
  "HTTPS:\\\\USER:SECRET@host\\x.tar",
  "http:USER:SECRET@host/x.tar",
  "http:///USER:SECRET@host/x.tar",
  "ht\ntp://USER:SECRET@host/x.tar",
  "s3://USER:SECRET@bucket/x.tar",
  "http://:SECRET@host",
])("%j is refused without its secrets", (url) => {
  const error = (() => {
    try {
      return requireNoCredentials(url)
    } catch (error) {
      return error
    }
  })()
  expect(error).toBeInstanceOf(UserError)
  expect((error as UserError).message).toContain("...@")
  expect(`${(error as UserError).message} ${(error as UserError).hint}`).not.toMatch(secret)
})

test.each([
  "http://host/a@b/x.tar?mail=a@b",
  "hf://datasets/owner/name@main/x.tar",
  "s3://bucket/a@b.tar",
  "data/a:b@c.tar",
  "file:///data/a@b.tar",
])("%s is as it was", (url) => expect(requireNoCredentials(url)).toBe(url))

test("what is shown has nothing before the last @", () => {
  expect(withoutCredentials("nats://USER:SEC/RET@host:1")).toBe("nats://...@host:1")
  expect(withoutCredentials("USER:SECRET@host")).toBe("...@host")
  expect(withoutCredentials("http://host/x")).toBe("http://host/x")
})

test("an address of the web", () => {
  expect(webAddress("https://mirror/hub/", "it", "look").href).toBe("https://mirror/hub/")
  expect(() => webAddress("ftp://USER:SECRET@host", "it", "look")).toThrow('it "ftp://...@host" is not an http or https address') // biome-ignore format: a line
  expect(() => webAddress("http://USER:SEC/RET@host", "it", "look")).toThrow('it "http://...@host" is not an http or')
  expect(() => webAddress("http://USER:SECRET@host", "it", "look")).toThrow('it "http://...@host" has a user name')
})
