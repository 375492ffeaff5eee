/**
 * What is released on the Hugging Face hub, as data: which repository holds which model of the family, its teachers and
 * captioners, and under which licence.
 *
 * Sources: apple/ml-mobileclip@4144bb1 (README, LICENSE_MODELS), open_clip `pretrained.py`@89fb801, timm 1.0.29
 * (`fastvit.py`, `vision_transformer_hybrid.py`), and public code that loads the files by name. Where no source names a
 * file, `file` is null and the repository's listing decides (`repository.ts`).
 */

export interface License {
  /** The licence as the hub tags it. */
  readonly id: string
  readonly name: string
  /** What the weights may be used for, in a few words. */
  readonly use: string
  /** Whether that includes products; null where the table does not know. */
  readonly commercial: boolean | null
  /** What it means for users of the weights, in our words. */
  readonly notice: string
  /** Where the full text is. */
  readonly url: string
}

/** Licences that the table names; others are shown by the hub's tag. */
export const licenses = {
  "apple-amlr": {
    id: "apple-amlr",
    name: "Apple Machine Learning Research Model License",
    use: "research only",
    commercial: false,
    notice:
      "Apple gives these weights away for research only: non-commercial scientific work. Products, services and " +
      "commercial development are excluded. Whatever is derived from the weights (fine-tuned, distilled, converted or " +
      "quantized models) stays under the same terms, has to be marked as changed, and may be passed on only together " +
      "with the licence's text and its attribution line. By using them you accept these terms.",
    url: "https://github.com/apple/ml-mobileclip/blob/main/LICENSE_MODELS",
  },
  mit: {
    id: "mit",
    name: "MIT License",
    use: "commercial too",
    commercial: true,
    notice:
      "Use, change and pass on freely, also commercially, as long as the copyright notice stays with the weights.",
    url: "https://opensource.org/license/mit",
  },
  "apache-2.0": {
    id: "apache-2.0",
    name: "Apache License 2.0",
    use: "commercial too",
    commercial: true,
    notice:
      "Use, change and pass on freely, also commercially; keep the licence and notices, and say what was changed.",
    url: "https://www.apache.org/licenses/LICENSE-2.0",
  },
} as const satisfies Record<string, License>

type LicenseId = keyof typeof licenses

export interface Release {
  /** What a user types; case and separators do not matter, and the repository's own name works too. */
  readonly name: string
  readonly repo: string
  /** The weights; null where no source names them. */
  readonly file: string | null
  /** As documented; the hub's tag decides when it is pulled. */
  readonly license: LicenseId | null
  /** Key of the variant table. */
  readonly variant: string
  readonly contents: "clip" | "image tower" | "captioner"
}

const apple = { license: "apple-amlr", contents: "clip" } as const
const imageTower = { license: "apple-amlr", contents: "image tower", file: null } as const
const teacher = { contents: "clip" } as const

/** Apple's own files: `.pt`, v1 with Apple's tensor names up to S2 and B, the rest with open_clip's. */
const appleReleases = [
  { ...apple, name: "MobileCLIP2-S0", file: "mobileclip2_s0.pt", variant: "mobileclip2-s0" },
  { ...apple, name: "MobileCLIP2-S2", file: "mobileclip2_s2.pt", variant: "mobileclip2-s2" },
  { ...apple, name: "MobileCLIP2-B", file: "mobileclip2_b.pt", variant: "mobileclip2-b" },
  { ...apple, name: "MobileCLIP2-S3", file: "mobileclip2_s3.pt", variant: "mobileclip2-s3" },
  { ...apple, name: "MobileCLIP2-L-14", file: "mobileclip2_l14.pt", variant: "mobileclip2-l14" },
  { ...apple, name: "MobileCLIP2-S4", file: "mobileclip2_s4.pt", variant: "mobileclip2-s4" },
  { ...apple, name: "MobileCLIP-S0", file: "mobileclip_s0.pt", variant: "mobileclip-s0" },
  { ...apple, name: "MobileCLIP-S1", file: "mobileclip_s1.pt", variant: "mobileclip-s1" },
  { ...apple, name: "MobileCLIP-S2", file: "mobileclip_s2.pt", variant: "mobileclip-s2" },
  { ...apple, name: "MobileCLIP-B", file: "mobileclip_b.pt", variant: "mobileclip-b" },
  { ...apple, name: "MobileCLIP-B-LT", file: "mobileclip_blt.pt", variant: "mobileclip-blt" },
  { ...apple, name: "MobileCLIP-S3", file: "mobileclip_s3.pt", variant: "mobileclip-s3" },
  { ...apple, name: "MobileCLIP-L-14", file: null, variant: "mobileclip-l14" },
  { ...apple, name: "MobileCLIP-S4", file: "mobileclip_s4.pt", variant: "mobileclip-s4" },
].map((release) => ({ ...release, repo: `apple/${release.name}` }))

/** The same weights as open_clip repositories: safetensors or `.bin`, with open_clip_config.json. */
const openClipReleases = [
  ...["S1", "S2", "B", "B-LT"].map((size) => openClipRelease("apple", "MobileCLIP", size)),
  ...["S0", "S2", "B", "S3", "L-14", "S4"].map((size) => openClipRelease("timm", "MobileCLIP2", size)),
]

function openClipRelease(owner: string, family: string, size: string): Release {
  const name = `${family}-${size}-OpenCLIP`
  const variant = `${family}-${size.replace("-", "")}`.toLowerCase()
  return { ...apple, name, repo: `${owner}/${name}`, file: null, variant }
}

/** timm's image towers, named as timm names them. */
const timmReleases = [
  { name: "fastvit_mci0.apple_mclip", repo: "apple/mobileclip_s0_timm", variant: "mobileclip-s0" },
  { name: "fastvit_mci1.apple_mclip", repo: "apple/mobileclip_s1_timm", variant: "mobileclip-s1" },
  { name: "fastvit_mci2.apple_mclip", repo: "apple/mobileclip_s2_timm", variant: "mobileclip-s2" },
  { name: "vit_base_mci_224.apple_mclip", repo: "apple/mobileclip_b_timm", variant: "mobileclip-b" },
  { name: "vit_base_mci_224.apple_mclip_lt", repo: "apple/mobileclip_b_lt_timm", variant: "mobileclip-blt" },
  ...["mci0:s0", "mci2:s2", "mci3:s3", "mci4:s4"].map((pair) => {
    const [tower, size] = pair.split(":")
    const name = `fastvit_${tower}.apple_mclip2_dfndr2b`
    return { name, repo: `timm/${name}`, variant: `mobileclip2-${size}` }
  }),
  {
    name: "vit_base_mci_224.apple_mclip2_dfndr2b",
    repo: "timm/vit_base_mci_224.apple_mclip2_dfndr2b",
    variant: "mobileclip2-b",
  },
].map((release) => ({ ...imageTower, ...release }))

/** DFN and DataComp: the activation differs (QuickGELU or GELU), and the variant says which. */
const teacherReleases = [
  {
    ...teacher,
    name: "DFN2B-CLIP-ViT-L-14",
    repo: "apple/DFN2B-CLIP-ViT-L-14",
    file: "open_clip_pytorch_model.bin",
    license: "apple-amlr",
    variant: "vit-l-14-quickgelu",
  },
  {
    ...teacher,
    name: "DFN2B-CLIP-ViT-L-14-39B",
    repo: "apple/DFN2B-CLIP-ViT-L-14-39B",
    file: "open_clip_pytorch_model.bin",
    license: "apple-amlr",
    variant: "vit-l-14",
  },
  {
    ...teacher,
    name: "ViT-L-14-openai",
    repo: "timm/vit_large_patch14_clip_224.openai",
    file: null,
    license: "apache-2.0",
    variant: "vit-l-14-quickgelu",
  },
  {
    ...teacher,
    name: "ViT-L-14-datacomp",
    repo: "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K",
    file: "open_clip_pytorch_model.bin",
    license: "mit",
    variant: "vit-l-14",
  },
] as const

/** CLIP's small towers, which products may ship. OpenAI's were trained with QuickGELU, the others with GELU. */
const clipReleases = (
  [
    ["ViT-B-16-datacomp", "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K", "mit", "vit-b-16"],
    ["ViT-B-16-laion2b", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "mit", "vit-b-16"],
    ["ViT-B-16-openai", "timm/vit_base_patch16_clip_224.openai", "apache-2.0", "vit-b-16-quickgelu"],
    ["ViT-B-32-256-datacomp", "laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K", "mit", "vit-b-32-256"],
    ["ViT-B-32-datacomp", "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K", "mit", "vit-b-32"],
    ["ViT-B-32-laion2b", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "mit", "vit-b-32"],
    ["ViT-B-32-openai", "timm/vit_base_patch32_clip_224.openai", "apache-2.0", "vit-b-32-quickgelu"],
  ] as const
).map(([name, repo, license, variant]): Release => ({ name, repo, file: null, license, variant, contents: "clip" }))

const coca = { contents: "captioner", variant: "coca-vit-l-14" } as const

/** Apple's captioners by what they were tuned on; the config.json beside them says where the context is 128 or 256. */
const captionerNames = [
  "context77",
  ...["complete", "extended", "short"].flatMap((kind) =>
    [128, 256, 77].map((context) => `dci-${kind}_s12m_context${context}`),
  ),
  ...[128, 256, 77].map((context) => `docci_s12m_context${context}`),
  "gbc10m-long_context256",
  "gbc10m-short-relation_context256",
  "gbc1m-long_context256",
  "gbc1m-short_context77",
  "mscoco38k_s12m_context77",
  ...[128, 256, 77].map((context) => `recap-coco-30k_s12m_context${context}`),
]

const captionerReleases = [
  {
    ...coca,
    name: "CoCa-ViT-L-14-mscoco",
    repo: "laion/mscoco_finetuned_CoCa-ViT-L-14-laion2B-s13B-b90k",
    file: "open_clip_pytorch_model.bin",
    license: "mit",
  },
  ...captionerNames.map((tuning) => {
    const name = `mobileclip2_coca_dfn2b_s13b_${tuning}`
    return { ...coca, name, repo: `apple/${name}`, file: null, license: "apple-amlr" } as const
  }),
] as const

/** Everything `mobileclip pull` knows by name, in the order it is listed. */
export const released: readonly Release[] = [
  ...appleReleases,
  ...openClipReleases,
  ...timmReleases,
  ...teacherReleases,
  ...clipReleases,
  ...captionerReleases,
]
