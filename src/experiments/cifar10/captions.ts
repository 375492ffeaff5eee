/** Captions made of class names: careless ones, as the web has them, for students, and precise ones for teachers. */

import type { Random } from "../../core/arrays/random.ts"
import { fillTemplate } from "../../core/text/prompts.ts"
import { type ClassName, classNames, otherNames } from "./classes.ts"

/** Shares of the kinds of careless captions; they add up to 1. */
export interface CaptionMix {
  /** A phrase with the class's name. */
  readonly named: number
  /** A phrase with another name of it: "kitten". */
  readonly otherName: number
  /** A phrase with the name of another class. */
  readonly wrongName: number
  /** "IMG_2043.JPG" */
  readonly fileName: number
  /** "click to enlarge" */
  readonly boilerplate: number
}

export const captionKinds = ["named", "otherName", "wrongName", "fileName", "boilerplate"] as const

export type CaptionKind = (typeof captionKinds)[number]

const phrases = [
  "{}",
  "my {}",
  "{} stock photo",
  "{} pictures and images",
  "{} for sale - free shipping",
  "beautiful {} wallpaper hd",
  "the best {} of 2009",
  "look at this {} !!!",
  "{} | photo gallery",
  "old {} near our house",
]

const boilerplate = [
  "click to enlarge",
  "no description available",
  "image may be subject to copyright",
  "share on facebook",
  "thumbnail",
  "photo of the day",
  "view full size",
  "related products",
  "log in to see more",
  "uploaded by admin",
]

const cameras = ["IMG_", "DSC0", "P10", "photo-", "scan", "untitled "]
const extensions = [".jpg", ".JPG", ".jpeg", ".png"]

/** A caption and its kind. */
export function carelessCaption(
  label: ClassName,
  mix: CaptionMix,
  random: Random,
): { kind: CaptionKind; text: string } {
  const kind = drawKind(mix, random.uniform())
  return { kind, text: textOf(kind, label, random) }
}

/** @param at in [0, 1): a point on the line on which the shares of the kinds follow each other */
export function drawKind(mix: CaptionMix, at: number): CaptionKind {
  let end = 0
  for (const kind of captionKinds) {
    end += mix[kind]
    if (at < end) return kind
  }
  return captionKinds.at(-1)!
}

function textOf(kind: CaptionKind, label: ClassName, random: Random): string {
  switch (kind) {
    case "named":
      return phrase(label, random)
    case "otherName":
      return phrase(random.pick(otherNames[label]), random)
    case "wrongName":
      return phrase(random.pick(classNames.filter((name) => name !== label)), random)
    case "fileName":
      return `${random.pick(cameras)}${1000 + random.int(9000)}${random.pick(extensions)}`
    case "boilerplate":
      return random.pick(boilerplate)
    default:
      return kind satisfies never
  }
}

function phrase(name: string, random: Random): string {
  return fillTemplate(random.pick(phrases), name)
}

const precise = ["a photo of a {}.", "a photo of the {}.", "a small picture of a {}.", "a good photo of a {}.", "a {}"]

/** True captions: half of them have the name of the class, the rest its other names. */
export function preciseCaptions(label: ClassName): string[] {
  const others = otherNames[label]
  const names = [...others.map(() => label), ...others]
  return names.flatMap((name) => precise.map((template) => fillTemplate(template, name)))
}

/** Whether a caption names its class, by any of its names, and no other class. */
export function isTrue(caption: string, label: ClassName): boolean {
  const words = new Set(caption.toLowerCase().match(/[a-z]+/g))
  const named = classNames.filter((name) => [name, ...otherNames[name]].some((each) => words.has(each)))
  return named.length === 1 && named[0] === label
}
