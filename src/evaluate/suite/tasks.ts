/**
 * The evaluation suite as rows of data: datacomp's 40 tasks (mlfoundations/datacomp@4a8df19, tasklist.yml), of which 38 are
 * averaged, and further tasks that published result files of MobileCLIP2 have. Templates and class names lie beside the data.
 */
import type { SuiteTask } from "./suite-task.ts"

/** A task with a label for each picture. */
function labelled(
  key: string,
  name: string,
  mainMetric: string,
  classes: number,
  size: number,
  chance: number | null,
  more: Partial<SuiteTask> = {},
): SuiteTask {
  return {
    key,
    name,
    kind: "classification",
    mainMetric,
    folders: foldersOf(key),
    size,
    classes,
    chance,
    counted: true,
    ...more,
  }
}

function retrieval(key: string, name: string, size: number, more: Partial<SuiteTask> = {}): SuiteTask {
  return {
    ...({ key, name, kind: "retrieval", mainMetric: "mean_recall@1", folders: foldersOf(key) } as const),
    ...{ size, classes: null, chance: null, counted: false, ...more },
  }
}

/** Faces are described and never ranked: these have no main metric. */
function faces(key: string, name: string, size: number): SuiteTask {
  return {
    ...({ key, name, kind: "attributes", mainMetric: null, folders: foldersOf(key), size } as const),
    ...({ classes: null, chance: null, groupMetrics: "fairface", counted: false } as const),
  }
}

/** The right caption and one that differs from it in a word or two. */
function captionPair(part: string, name: string, size: number): SuiteTask {
  const key = `comp/sugarcrepe_${part}`
  const folders = [...foldersOf(key), ...foldersOf(`sugar_crepe/${part}`)]
  return {
    ...({ key, name: `SugarCrepe ${name}`, kind: "caption-selection", mainMetric: "acc", folders } as const),
    ...{ size, classes: null, chance: 0.5, counted: false },
  }
}

/** A labelled task that is not averaged. */
function further(key: string, name: string, classes: number, size: number, chance: number | null = null): SuiteTask {
  return labelled(key, name, "acc1", classes, size, chance, { counted: false })
}

/** datacomp's and CLIP_benchmark's names of a task's folder, then the key itself. */
function foldersOf(key: string): string[] {
  const folder = `wds_${key.replace(/^fairness\//, "").replaceAll("/", "-")}`
  return [`${folder}_test`, folder, key]
}

/** ImageNet-C's, each in five severities. */
const corruptions = [
  ...["gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur"],
  ...["snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression"],
]

const recall = "mean_per_class_recall"

/** The 40 tasks, in datacomp's order. */
export const suiteTasks: readonly SuiteTask[] = [
  labelled("vtab/caltech101", "Caltech-101", recall, 102, 6085, 0.009804),
  labelled("cifar10", "CIFAR-10", "acc1", 10, 10_000, 0.1),
  labelled("vtab/cifar100", "CIFAR-100", "acc1", 100, 10_000, 0.01),
  labelled("vtab/clevr_count_all", "CLEVR Counts", "acc1", 8, 15_000, 0.125061),
  labelled("vtab/clevr_closest_object_distance", "CLEVR Distance", "acc1", 6, 15_000, 0.19052),
  labelled("country211", "Country211", "acc1", 211, 21_100, 0.004739),
  labelled("vtab/dtd", "Describable Textures", "acc1", 47, 1880, 0.021277),
  labelled("vtab/eurosat", "EuroSAT", "acc1", 10, 5400, 0.101483),
  labelled("fgvc_aircraft", "FGVC Aircraft", recall, 100, 3333, 0.01),
  labelled("food101", "Food-101", "acc1", 101, 25_250, 0.009901),
  labelled("gtsrb", "GTSRB", "acc1", 43, 12_630, 0.037604),
  labelled("imagenet1k", "ImageNet 1k", "acc1", 1000, 50_000, 0.001),
  labelled("imagenet_sketch", "ImageNet Sketch", "acc1", 1000, 50_889, 0.001),
  labelled("imagenetv2", "ImageNet v2", "acc1", 1000, 10_000, 0.001),
  labelled("imagenet-a", "ImageNet-A", "acc1", 200, 7500, 0.008056),
  labelled("imagenet-o", "ImageNet-O", "acc1", 200, 2000, 0.006047),
  labelled("imagenet-r", "ImageNet-R", "acc1", 200, 30_000, 0.006163),
  labelled("vtab/kitti_closest_vehicle_distance", "KITTI Vehicle Distance", "acc1", 4, 711, 0.295289),
  labelled("mnist", "MNIST", "acc1", 10, 10_000, 0.10035),
  labelled("objectnet", "ObjectNet", "acc1", 113, 18_574, 0.009481),
  labelled("vtab/flowers", "Oxford Flowers-102", recall, 102, 6149, 0.009804),
  labelled("vtab/pets", "Oxford-IIIT Pet", recall, 37, 3669, 0.027027),
  labelled("voc2007", "Pascal VOC 2007", "acc1", 20, 14_976, 0.154038),
  labelled("vtab/pcam", "PatchCamelyon", "acc1", 2, 32_768, 0.5),
  labelled("renderedsst2", "Rendered SST2", "acc1", 2, 1821, 0.500001),
  labelled("vtab/resisc45", "RESISC45", "acc1", 45, 6300, 0.022342),
  labelled("cars", "Stanford Cars", "acc1", 196, 8041, 0.00516),
  labelled("stl10", "STL-10", "acc1", 10, 8000, 0.1),
  labelled("sun397", "SUN397", "acc1", 397, 108_754, 0.004645),
  labelled("vtab/svhn", "SVHN", "acc1", 10, 26_032, 0.117897),
  retrieval("retrieval/flickr_1k_test_image_text_retrieval", "Flickr", 1000, {
    folders: [...foldersOf("retrieval/flickr_1k_test_image_text_retrieval"), ...foldersOf("flickr30k")],
    counted: true,
  }),
  retrieval("retrieval/mscoco_2014_5k_test_image_text_retrieval", "MSCOCO", 5000, {
    folders: [...foldersOf("retrieval/mscoco_2014_5k_test_image_text_retrieval"), ...foldersOf("mscoco_captions")],
    counted: true,
  }),
  {
    ...{ key: "misc/winogavil", name: "WinoGAViL", kind: "association", mainMetric: "jaccard_score_10-12" },
    ...{ folders: foldersOf("misc/winogavil"), size: 3563, classes: null, chance: 0.205, counted: true },
  },
  labelled("wilds/iwildcam", "iWildCam", "F1-macro_all", 182, 42_791, 0.143056, { groupMetrics: "iwildcam" }),
  labelled("wilds/camelyon17", "Camelyon17", "acc1", 2, 85_054, 0.5, { groupMetrics: "camelyon17" }),
  labelled("wilds/fmow", "FMoW", "acc_worst_region", 62, 22_108, 0.027193, { groupMetrics: "fmow" }),
  labelled("fairness/dollar_street", "Dollar Street", "acc_top5_wg", 58, 3503, null, { groupMetrics: "dollar_street" }),
  labelled("fairness/geode", "GeoDE", "acc_wg", 40, 12_488, null, { groupMetrics: "geode" }),
  faces("fairness/fairface", "FairFace", 10_954),
  faces("fairness/utkface", "UTKFace", 23_703),
]

/**
 * Tasks beside the 40, which are never averaged. The first ten have published results; their sizes are those whose
 * fractions the published accuracies are. The others are CLIP_benchmark's, and sets of damaged or newer ImageNet pictures.
 */
export const extraTasks: readonly SuiteTask[] = [
  captionPair("replace_obj", "Replace-obj", 1652),
  captionPair("replace_att", "Replace-att", 788),
  captionPair("replace_rel", "Replace-rel", 1406),
  captionPair("swap_obj", "Swap-obj", 245),
  captionPair("swap_att", "Swap-att", 666),
  captionPair("add_obj", "Add-obj", 2062),
  captionPair("add_att", "Add-att", 692),
  retrieval("longclip/sharegpt4v-1k", "sharegpt4v-1k", 1000),
  retrieval("longclip/sharegpt4v-llava15k", "sharegpt4v-llava15k", 15_295),
  retrieval("longclip/urban1k", "urban1k", 1000),
  retrieval("flickr8k", "Flickr8k", 1000),
  {
    ...{ key: "voc2007_multilabel", name: "Pascal VOC 2007, multilabel", kind: "multilabel" },
    ...{ mainMetric: "mean_average_precision", folders: foldersOf("voc2007_multilabel") },
    ...{ size: 4952, classes: 20, chance: null, counted: false },
  },
  further("fer2013", "FER2013", 7, 7178),
  further("vtab/diabetic_retinopathy", "Diabetic Retinopathy", 5, 42_670),
  further("vtab/dmlab", "DMLab", 6, 22_735),
  further("vtab/dsprites_label_orientation", "dSprites Orientation", 40, 73_728),
  further("vtab/dsprites_label_x_position", "dSprites X Position", 32, 73_728),
  further("vtab/dsprites_label_y_position", "dSprites Y Position", 32, 73_728),
  further("vtab/smallnorb_label_azimuth", "SmallNORB Azimuth", 18, 12_150),
  further("vtab/smallnorb_label_elevation", "SmallNORB Elevation", 9, 12_150),
  ...["matched-frequency", "threshold0.7", "top-images"].map((variant) =>
    further(`imagenetv2/${variant}`, `ImageNet v2 ${variant}`, 1000, 10_000, 0.001),
  ),
  further("imagenet-w", "ImageNet-W", 1000, 50_000, 0.001),
  ...corruptions.flatMap((corruption) =>
    [1, 2, 3, 4, 5].map((severity) =>
      further(`imagenet-c/${corruption}/${severity}`, `ImageNet-C ${corruption} ${severity}`, 1000, 50_000, 0.001),
    ),
  ),
]

/** Every row. */
export const allTasks: readonly SuiteTask[] = [...suiteTasks, ...extraTasks]

/** The row of `key`, or null. */
export function findTask(key: string): SuiteTask | null {
  return allTasks.find((task) => task.key === key) ?? null
}
