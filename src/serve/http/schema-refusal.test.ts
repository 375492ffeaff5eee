import { afterAll, beforeAll, expect, test } from "vitest"
import { ServedTiny } from "../../../test/served-tiny.ts"

let served: ServedTiny
beforeAll(async () => {
  served = await ServedTiny.start()
})
afterAll(() => served[Symbol.asyncDispose]())

const parts = 'a text, a data URI, {"text": ...} or {"image": ...}'
const message = (content: unknown) => ({ messages: [{ role: "user", content }] })

test.each<[string, unknown, string | null, string]>([
  ["/v1/embeddings", { input: ["a", null] }, "input[1]", `${parts} is expected, not null`],
  ["/v1/embeddings", { input: ["a", { text: 1 }] }, "input[1]", `${parts} is expected, not an object`],
  [
    "/v1/embeddings",
    { input: { image_url: "a" } },
    "input",
    'a text, a data URI, {"text": ...}, {"image": ...}, or a list of these is expected, not an object',
  ],
  [
    "/v1/embeddings",
    { input: "a", encoding_format: "int3" },
    "encoding_format",
    'one of "float", "base64" is expected, not "int3"',
  ],
  ["/v1/embeddings", { input: "a", dimensions: 0.5 }, "dimensions", "a whole number is expected, not 0.5"],
  ["/v1/embeddings", { input: "a", dimensions: 0 }, "dimensions", "a number of more than 0 is expected, not 0"],
  ["/v1/embeddings", message(5), "messages[0].content", "a text or a list is expected, not 5"],
  [
    "/v1/embeddings",
    message([{ type: "video" }]),
    "messages[0].content[0].type",
    'one of "text", "input_text", "image_url", "input_image" is expected, not "video"',
  ],
  ["/v1/embeddings", message([{ type: "text" }]), "messages[0].content[0].text", "it is missing: a text is expected"],
  ["/v1/classify", { labels: ["a"] }, "images", "it is missing: a list is expected"],
  [
    "/v1/classify",
    { images: ["a"], labels: [] },
    "labels",
    "a list of at least 1 element is expected, not a list of 0",
  ],
  ["/v1/caption", { images: ["a"], per_image: 17 }, "per_image", "a number of at most 16 is expected, not 17"],
  [
    "/v1/search",
    { query: "secret".repeat(400) },
    "query",
    "a text of at most 2000 characters is expected, not a text of 2400 characters",
  ],
  ["/v1/search", { query: "a", befor: "2023", aftr: "1" }, null, '"befor" is not a field that is known here'],
  ["/v1/search", { ["b\n".repeat(5000)]: 1 }, null, `"${"b\\n".repeat(50)}..." is not a field that is known here`],
  ["/v1/classify", [], null, "an object is expected, not a list of 0"],
])("%s %j", async (path, body, field, sentence) => {
  const answer = await served.post(path, body)
  const { error } = (await answer.json()) as { error: Record<string, unknown> }
  expect([answer.status, error.message, error.param ?? error.parameter]).toEqual([
    400,
    `${field ?? "the body"}: ${sentence}`,
    field,
  ])
})
