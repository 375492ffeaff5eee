/**
 * The benchmark's CIFAR-10: its class names and prompts (CLIP_benchmark `en_classnames.json`, `en_zeroshot_classification_templates.json`,
 * key `cifar10`; the prompts are those of the CLIP paper), and what people also call these things.
 */

/** Class folders have these names; the order is the benchmark's. */
export const classNames = [
  "airplane",
  "automobile",
  "bird",
  "cat",
  "deer",
  "dog",
  "frog",
  "horse",
  "ship",
  "truck",
] as const

export type ClassName = (typeof classNames)[number]

const photos = [
  "a photo of {} {c}.",
  "a blurry photo of {} {c}.",
  "a black and white photo of {} {c}.",
  "a low contrast photo of {} {c}.",
  "a high contrast photo of {} {c}.",
  "a bad photo of {} {c}.",
  "a good photo of {} {c}.",
  "a photo of {} small {c}.",
  "a photo of {} big {c}.",
]

/** The 18 prompts of zero-shot classification, with `{c}` for the class: nine with "a", then the same with "the". */
export const templates: readonly string[] = ["a", "the"].flatMap((article) =>
  photos.map((photo) => photo.replace("{}", article)),
)

/** Other names of the classes, which the benchmark does not use. */
export const otherNames = {
  airplane: ["plane", "jet", "aircraft"],
  automobile: ["car", "sedan", "vehicle"],
  bird: ["sparrow", "songbird", "ostrich"],
  cat: ["kitten", "kitty", "tabby"],
  deer: ["stag", "doe", "elk"],
  dog: ["puppy", "hound", "terrier"],
  frog: ["toad", "bullfrog", "amphibian"],
  horse: ["pony", "mare", "stallion"],
  ship: ["boat", "vessel", "yacht"],
  truck: ["lorry", "pickup", "semi"],
} as const satisfies Record<ClassName, readonly string[]>
