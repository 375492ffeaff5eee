import { expect, test } from "vitest"
import { call, globalOf, pickle, tuple } from "../../../test/torch-archive.ts"
import { UserError } from "../errors.ts"
import { PickleGlobal, readPickle } from "./pickle.ts"

class Point {
  state: unknown
  constructor(readonly args: readonly unknown[]) {}
  setState(state: unknown): void {
    this.state = state
  }
}

const globals = {
  "geometry.Point": (...args: readonly unknown[]) => new Point(args),
  "collections.OrderedDict": () => new Map(),
}
const read = (bytes: Uint8Array) => readPickle(bytes, { name: "a.pkl", globals, persistentLoad: (id) => ({ id }) })

/** Opcodes as text, `\xNN` for bytes, after the protocol. */
const raw = (text: string) => read(Uint8Array.from(Buffer.from(`\x80\x04${text}`, "latin1")))

test("values of every kind come back", () => {
  const value = new Map<never, never>([
    ["list" as never, [1, -2, 2.5, null, true, false] as never],
    ["tuple" as never, tuple("é", [[]]) as never],
    ["big" as never, (2n ** 60n) as never],
    ["exact" as never, (2 ** 40) as never],
    ["od" as never, call("collections.OrderedDict") as never],
  ])
  const expected = new Map<string, unknown>([
    ["list", [1, -2, 2.5, null, true, false]],
    ["tuple", ["é", [[]]]],
    ["big", 2n ** 60n],
    ["exact", 2 ** 40],
    ["od", new Map()],
  ])
  expect(read(pickle(value))).toEqual(expected)
})

test.each<[string, string, unknown]>([
  ["framed short text, memoized and got back", "\x95\x08\0\0\0\0\0\0\0\x8c\x01a\x94h\0\x86.", ["a", "a"]],
  ["BINUNICODE8", "\x8d\x02\0\0\0\0\0\0\0hi.", "hi"],
  ["BINBYTES in three sizes", "C\x01aB\x01\0\0\0b\x8e\x01\0\0\0\0\0\0\0c\x87.", [[97], [98], [99]].map((b) => Uint8Array.from(b))],
  ["BYTEARRAY8", "\x96\x02\0\0\0\0\0\0\0ab.", Uint8Array.of(97, 98)],
  ["a set and a frozenset", "\x8f(K\x01K\x02\x90(K\x03\x91\x86.", [new Set([1, 2]), new Set([3])]],
  ["LONG1 and LONG4", "\x8a\x01\xff\x8b\x02\0\0\0\xff\x7f\x8a\0\x87.", [-1, 32767, 0]],
  ["numbers as text", "I5\nI01\nL-7L\n\x87.", [5, true, -7]],
  ["floats as text", "F2.5e1\nFinf\n\x86.", [25, Infinity]],
  ["small numbers", "K\xffM\xff\xffJ\xff\xff\xff\xff\x87.", [255, 65535, -1]],
  ["strings of Python 2", "U\x02a\xe9.", "aé"],
  ["APPEND and SETITEM", "]K\x01a}K\x02K\x03s\x86.", [[1], new Map([[2, 3]])]],
  ["LIST and DICT", "(K\x01l(K\x02K\x03d\x86.", [[1], new Map([[2, 3]])]],
  ["POP, POP_MARK and DUP", "K\x01K\x020(K\x031" + "2\x86.", [1, 1]],
  ["LONG_BINPUT and LONG_BINGET", "K\x07r\x01\x00\x00\x000j\x01\x00\x00\x00.", 7],
  ["an object outside", "K\x05Q.", { id: 5 }],
  ["a state of a dict's attributes", "}}b.", new Map()],
])("%s", (_, text, expected) => expect(raw(text)).toEqual(expected)) // biome-ignore format: a table

test("objects are made by the functions of the table, and take their state", () => {
  const point = raw("\x8c\x08geometry\x8c\x05Point\x93K\x01K\x02\x86\x81K\x09b.")
  expect(point).toBeInstanceOf(Point)
  expect(point).toMatchObject({ args: [1, 2], state: 9 })
})

test("a global that is not called stays one, with its name", () => {
  expect(read(pickle(globalOf("geometry.Point")))).toMatchObject({ name: "geometry.Point" })
  expect(read(pickle(globalOf("geometry.Point")))).toBeInstanceOf(PickleGlobal)
})

test.each(["os.system", "builtins.eval", "__proto__.x", "constructor.constructor", "toString."])(
  "%s is refused by name, and nothing runs",
  (path) => {
    expect(() => read(pickle(call(path, "touch /tmp/x")))).toThrow(
      `a.pkl: the pickle asks for \`${path}\`, which is neither a tensor nor a container; nothing was executed`,
    )
  },
)

test.each([
  ["nothing", "", "it ends too early"],
  ["a text beyond the end", "X\xff\xff\xff\xffa", "it ends too early"],
  ["a frame beyond the end", "\x95\xff\xff\xff\xff\xff\xff\xff\xffN.", "it ends too early"],
  ["a STOP without a value", ".", "a value is missing"],
  ["a tuple of a missing value", "K\x01\x86.", "a value is missing"],
  ["values below a mark", "K\x01(\x85.", "a value is missing"],
  ["no mark", "N]e.", "a mark is missing"],
  ["items of no list", "K\x01K\x02a.", "not a list"],
  ["items of no dict", "]K\x01K\x02s.", "not a dict"],
  ["items of no set", "](K\x01\x90.", "not a set"],
  ["a key without a value", "}(K\x01u.", "a key has no value"],
  ["a memo that was not written", "h\x05.", "nothing was remembered under 5"],
  ["a memo that leaps", "Nr\xff\xff\xff\xff.", "4294967295 is remembered before 0"],
  ["a call of a number", "K\x01)R.", "not a function"],
  ["a call with a number", "cgeometry\nPoint\nK\x01R.", "not a tuple"],
  ["a state of a number", "K\x01}b.", "takes none"],
  ["a protocol of the future", "\x80\x06N.", "protocol 6"],
  ["an instance of the old kind", "(igeometry\nPoint\n.", "opcode 0x69"],
  ["text that is not UTF-8", "\x8c\x01\xff.", "not UTF-8"],
  ["a malformed number", "I5x\n.", "not an integer"],
  ["a line without an end", "Icgeometry", "does not end"],
  [
    "a dict of 10,001 numbers",
    `}(${Array.from({ length: 10_001 }, (_, i) => `M${String.fromCharCode(i % 256, i >> 8)}N`).join("")}u.`,
    "more than 10000 numbers are keys",
  ],
  [
    "a set of numbers beyond",
    `\x8f(${Array.from({ length: 10_001 }, (_, i) => `M${String.fromCharCode(i % 256, i >> 8)}`).join("")}\x90.`,
    "more than 10000 numbers are keys",
  ],
  ["a huge integer", `\x8b\0\0\0\x01${"a".repeat(100)}`, "an integer of 16777216 bytes"],
  ["a name that is not text", "K\x01K\x02\x93.", "name is not text"],
])("%s is refused in one line", (_, text, message) => {
  const error = errorOf(() => raw(text))
  expect(error).toBeInstanceOf(UserError)
  expect(error?.message).toContain(message)
  expect(error?.message).toMatch(/^a\.pkl: the pickle is damaged at byte \d+ \([^\n]*\)$/)
})

test("nests of any depth take no stack, and a bomb of containers no memory", () => {
  const deep = "]".repeat(100_000) + "a".repeat(99_999)
  let depth = 0
  for (let value = raw(`${deep}.`); Array.isArray(value); value = value[0]) depth++
  expect(depth).toBe(100_000)
  expect(() => raw("]".repeat(5_000_000))).toThrow(
    "a.pkl: with the values of its pickle it would take 67108880 bytes of memory",
  )
})

test.each([
  ["short texts", "U\x02ab".repeat(4_000_000)],
  ["sets of a number", "(N\x91".repeat(1_000_000)],
  ["numbers", "G\0\0\0\0\0\0\0\0".repeat(5_000_000)],
])("a bomb of %s takes no memory", (_, text) => {
  expect(() => raw(text)).toThrow(/^a\.pkl: with the values of its pickle it would take 671\d+ bytes of memory/)
})

function errorOf(run: () => unknown): Error | undefined {
  try {
    run()
  } catch (error) {
    return error as Error
  }
  return undefined
}
