/** The family as a table: the columns as data, as many of them as fit, in the order that was asked for. */
import { UserError } from "../../core/errors.ts"
import { nearestNames } from "../../core/nearest.ts"
import type { Member } from "../../train/plan/family.ts"
import { textTable, textWidth } from "../table.ts"
import { billions, mebibytes, millions } from "./units.ts"

type Value = number | string | null

interface FamilyColumn {
  readonly title: string
  readonly help: string
  readonly value: (member: Member) => Value
  /** How numbers are written; default: as they are. */
  readonly format?: (value: number) => string
  /** A narrow terminal leaves out columns of lower rank first; columns without a rank are shown only when asked for. */
  readonly rank?: number
}

const sum = (member: Member, value: (tower: Member["image"]) => number) => value(member.image) + value(member.text)
const decimals = (digits: number) => (value: number) => value.toFixed(digits)

export const columns = {
  name: { title: "model", help: "name", value: ({ name }) => name, rank: 9 },
  image: { title: "image tower", help: "image tower", value: ({ image }) => image.name, rank: 4 },
  text: { title: "text tower", help: "text tower", value: ({ text }) => text.name, rank: 2 },
  input: { title: "px", help: "height and width of the input", value: ({ imageSize }) => imageSize, rank: 5 },
  embed: { title: "dim", help: "width of an embedding", value: ({ embedDim }) => embedDim, rank: 5 },
  "image-params": {
    title: "img M",
    help: "parameters of the fused image tower, millions",
    value: ({ image }) => image.parameters.fused,
    format: millions,
    rank: 8,
  },
  "text-params": {
    title: "txt M",
    help: "parameters of the fused text tower, millions",
    value: ({ text }) => text.parameters.fused,
    format: millions,
    rank: 8,
  },
  params: {
    title: "params M",
    help: "parameters of both fused towers, millions",
    value: (member) => sum(member, ({ parameters }) => parameters.fused),
    format: millions,
  },
  "image-train-params": {
    title: "img train M",
    help: "parameters of the image tower in training, millions",
    value: ({ image }) => image.parameters.train,
    format: millions,
  },
  "text-train-params": {
    title: "txt train M",
    help: "parameters of the text tower in training, millions",
    value: ({ text }) => text.parameters.train,
    format: millions,
  },
  "image-macs": {
    title: "img G",
    help: "multiply-adds of the fused image tower, billions",
    value: ({ image }) => image.multiplyAdds,
    format: billions,
    rank: 6,
  },
  "text-macs": {
    title: "txt G",
    help: "multiply-adds of the fused text tower, billions",
    value: ({ text }) => text.multiplyAdds,
    format: billions,
    rank: 6,
  },
  "image-attention": {
    title: "img attn G",
    help: "multiply-adds of attention's products in the image tower, billions",
    value: ({ image }) => image.attentionMultiplyAdds,
    format: billions,
  },
  "text-attention": {
    title: "txt attn G",
    help: "multiply-adds of attention's products in the text tower, billions",
    value: ({ text }) => text.attentionMultiplyAdds,
    format: billions,
  },
  "image-activations": {
    title: "img act MiB",
    help: "activations of one picture, MiB",
    value: ({ image }) => image.activationBytes,
    format: mebibytes,
  },
  "text-activations": {
    title: "txt act MiB",
    help: "activations of one text, MiB",
    value: ({ text }) => text.activationBytes,
    format: mebibytes,
  },
  fp32: {
    title: "fp32 MB",
    help: "weights of the converted model in fp32, millions of bytes",
    value: ({ megabytes }) => megabytes.fp32,
    format: decimals(0),
    rank: 6,
  },
  fp16: {
    title: "fp16 MB",
    help: "weights of the converted model in fp16, millions of bytes",
    value: ({ megabytes }) => megabytes.fp16,
    format: decimals(0),
    rank: 5,
  },
  licence: {
    title: "licence",
    help: "what the licence of the released weights allows; by weights: it differs, see pull --list",
    value: ({ licenses }) => (licenses.length > 1 ? "by weights" : (licenses[0] ?? null)),
    rank: 7,
  },
  resize: {
    title: "resize",
    help: "interpolation of the resize",
    value: ({ preprocessing }) => preprocessing.interpolation,
    rank: 3,
  },
  mean: {
    title: "mean",
    help: "subtracted, red green blue",
    value: ({ preprocessing }) => preprocessing.mean.join(" "),
  },
  std: { title: "std", help: "divided by, red green blue", value: ({ preprocessing }) => preprocessing.std.join(" ") },
  imagenet: {
    title: "IN-1k",
    help: "published ImageNet-1k zero-shot top-1, percent, of the best weights",
    value: ({ accuracies }) => accuracies[0]?.imagenet ?? null,
    format: decimals(1),
    rank: 8,
  },
  average: {
    title: "avg",
    help: "published average over 38 datasets, percent, of the best weights",
    value: ({ accuracies }) => accuracies[0]?.average38 ?? null,
    format: decimals(1),
    rank: 8,
  },
  "image-latency": {
    title: "img ms",
    help: "published latency of the image tower, iPhone 12 Pro Max",
    value: ({ published }) => published?.latency.image ?? null,
    format: decimals(1),
    rank: 5,
  },
  "text-latency": {
    title: "txt ms",
    help: "published latency of the text tower, iPhone 12 Pro Max",
    value: ({ published }) => published?.latency.text ?? null,
    format: decimals(1),
    rank: 5,
  },
  seen: {
    title: "seen B",
    help: "published image-text pairs seen in training, billions",
    value: ({ published }) => published?.samplesSeen.value ?? null,
  },
} as const satisfies Record<string, FamilyColumn>

type ColumnName = keyof typeof columns

const columnNames = Object.keys(columns) as ColumnName[]

/** "name,imagenet" -> the columns. Throws UserError with the nearest names for an unknown one. */
export function parseColumns(list: string): ColumnName[] {
  return list.split(",").map((name) => findColumn(name.trim()))
}

function findColumn(name: string): ColumnName {
  const found = columnNames.find((column) => column === name.toLowerCase())
  if (found) return found
  const nearest = nearestNames(name, columnNames).join(", ")
  throw new UserError(`there is no column "${name}"`, `nearest: ${nearest}; \`mobileclip models --help\` lists all`)
}

/** Ascending by a column, descending by "-column"; members without a value come last. */
export function sortMembers(members: readonly Member[], by: string): Member[] {
  const direction = by.startsWith("-") ? -1 : 1
  const { value }: FamilyColumn = columns[findColumn(by.replace("-", ""))]
  return members.toSorted((a, b) => compare(value(a), value(b), direction))
}

function compare(a: Value, b: Value, direction: number): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null)
  if (typeof a === "number" && typeof b === "number") return direction * (a - b)
  return direction * String(a).localeCompare(String(b), "en", { numeric: true })
}

/** @param names the columns; default: as many as `width` characters take */
export function familyTable(members: readonly Member[], width: number, names?: readonly ColumnName[]): string {
  return names ? tableOf(members, names) : fitting(members, width)
}

/** Leaves out columns, those of the lowest rank first, until no line is longer than `width`. */
function fitting(members: readonly Member[], width: number): string {
  const rankOf = (name: ColumnName): number => (columns[name] as FamilyColumn).rank ?? 0
  const ranks = [...new Set(columnNames.map(rankOf))].filter((rank) => rank > 0).sort((a, b) => a - b)
  const candidates = ranks.map((lowest) =>
    tableOf(
      members,
      columnNames.filter((name) => rankOf(name) >= lowest),
    ),
  )
  return candidates.find((table) => table.split("\n").every((line) => textWidth(line) <= width)) ?? candidates.at(-1)!
}

function tableOf(members: readonly Member[], names: readonly ColumnName[]): string {
  const shown: FamilyColumn[] = names.map((name) => columns[name])
  return textTable(
    shown.map(({ title, value }) => ({ title, align: members.some(isNumber(value)) ? "right" : "left" })),
    members.map((member) => shown.map(({ value, format }) => cell(value(member), format))),
  )
}

function isNumber(value: FamilyColumn["value"]) {
  return (member: Member) => typeof value(member) === "number"
}

function cell(value: Value, format: FamilyColumn["format"] = String): string {
  return value === null ? "-" : typeof value === "number" ? format(value) : value
}

/** Every column with its meaning, for `--help`. */
export function columnHelp(): string {
  return columnNames.map((name) => `  ${name.padEnd(19)} ${columns[name].help}`).join("\n")
}

/** Corrections of published figures, with the members they concern. */
export function footnotes(members: readonly Member[]): string {
  const texts = new Set(members.flatMap(({ published }) => published?.corrections ?? []))
  return Array.from(texts, (text) => {
    const concerned = members.filter(({ published }) => published?.corrections.includes(text))
    return `${concerned.map(({ name }) => name).join(", ")}: ${text}`
  }).join("\n")
}

/** Whose weights the accuracies of the table are, where there are several. */
export function weightsNotes(members: readonly Member[]): string {
  const lines = members.flatMap(({ name, accuracies: [best, ...others] }) => {
    if (!best || others.length === 0) return []
    const rest = others.map(({ weights, imagenet, average38 }) => {
      return `${weights} ${imagenet.toFixed(1)} and ${average38.toFixed(1)}`
    })
    return [`${name}: accuracies with the weights of ${best.weights}; ${rest.join(", ")}`]
  })
  return lines.join("\n")
}
