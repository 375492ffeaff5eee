/**
 * Captions that describe no picture in particular: what a picture's cosine with a query is compared with. They were written
 * for this purpose, some from each walk of life, so that a few of them that do fit a picture are outvoted. A changed list
 * changes every score, so an index keeps the version that its vectors are of.
 */

/** Raised with every change of the list. */
export const backgroundPromptsVersion = 1

const empty = [
  ...["a photo", "a picture", "an image", "a snapshot", "a photograph of something", "a picture of a thing"],
  ...["an unknown object", "something on a plain background", "a close-up", "a blurry photo", "a dark photo"],
  ...["an overexposed photo", "a photo without a subject", "a detail of a surface", "a file", "untitled"],
]

const landscapes = [
  ...["a mountain under a cloudy sky", "a wide valley with fields", "a sandy beach and waves", "a forest in autumn"],
  ...["a river between rocks", "a waterfall", "a lake at dawn", "a desert with dunes", "a snowy slope"],
  ...["a meadow with wild flowers", "a cliff above the sea", "a sunset over the ocean", "a starry sky", "a full moon"],
  ...["a thunderstorm with lightning", "fog over a marsh", "a vineyard on a hill", "a glacier", "a volcano", "a cave"],
]

const towns = [
  ...["a street in a city", "a skyline at night", "a bridge over a river", "an old stone church", "a market square"],
  ...["a row of brick houses", "a modern office building", "a railway station", "a parking lot", "a construction site"],
  ...["a narrow alley", "a fountain in a park", "a castle on a hill", "a lighthouse", "a factory with chimneys"],
  ...["a farmhouse and a barn", "a playground", "a cemetery", "a tunnel", "a harbour with cranes", "a traffic jam"],
]

const rooms = [
  ...["a kitchen with white cupboards", "a living room with a sofa", "a bedroom with an unmade bed", "a bathroom"],
  ...["a staircase", "an empty corridor", "a classroom", "a library full of books", "a hospital ward", "a workshop"],
  ...["a restaurant with set tables", "a supermarket aisle", "a gym", "a museum hall", "a theatre stage", "a garage"],
  ...["an office with desks", "a hotel lobby", "an attic", "a laboratory"],
]

const people = [
  ...["a man in a suit", "a woman with long hair", "a smiling child", "a baby in a crib", "an elderly couple"],
  ...["a crowd of people", "a group of friends at a table", "a family portrait", "a bride and a groom", "a selfie"],
  ...[
    "a person reading a newspaper",
    "a woman talking on the phone",
    "a man cooking",
    "children playing in the garden",
  ],
  ...["a musician playing the guitar", "a dancer on a stage", "a worker with a helmet", "a doctor with a patient"],
  ...["a teacher at the blackboard", "a soldier in uniform", "a hand holding something", "a face seen from the side"],
  ...["a person seen from the back", "people waiting in a queue", "a speaker in front of an audience"],
]

const activities = [
  ...["a football match", "a swimmer in a pool", "a cyclist on a road", "a runner in a race", "a tennis player"],
  ...[
    "a skier going downhill",
    "a surfer on a wave",
    "a climber on a rock",
    "a picnic in the park",
    "a birthday party",
  ],
  ...["a wedding dance", "a concert with lights", "a parade in the street", "a protest with banners", "fireworks"],
  ...["camping beside a tent", "fishing from a boat", "a chess game", "a yoga class", "a graduation ceremony"],
]

const animals = [
  ...["a dog on a lawn", "a cat on a windowsill", "a horse in a paddock", "a cow in a field", "a flock of sheep"],
  ...["a bird on a branch", "a duck on a pond", "a deer at the edge of a forest", "a frog on a leaf", "a snake"],
  ...["a butterfly on a flower", "a bee", "a spider in its web", "a fish in an aquarium", "a shark under water"],
  ...["an elephant with its calf", "a lion resting in the grass", "a bear", "a monkey in a tree", "a rabbit"],
  ...["a turtle", "a chicken in a yard", "a pig in the mud", "an owl at night", "a whale jumping out of the water"],
]

const plants = [
  ...["a red rose", "a bunch of tulips", "a sunflower", "a potted plant", "a cactus", "an oak tree", "palm trees"],
  ...["a mushroom in the moss", "a hedge", "fallen leaves", "a cherry tree in blossom", "a vegetable garden"],
]

const food = [
  ...["a plate of pasta", "a pizza", "a bowl of soup", "a green salad", "a hamburger with chips", "a loaf of bread"],
  ...["a chocolate cake", "ice cream in a cone", "a basket of fruit", "an apple", "a bunch of bananas", "fried eggs"],
  ...["a cup of coffee", "a glass of wine", "a bottle of beer", "sushi on a tray", "cheese on a board", "raw meat"],
  ...["vegetables at a market stall", "a breakfast on a tray"],
]

const vehicles = [
  ...["a red car", "a truck on a motorway", "a bus at a stop", "a motorcycle", "a bicycle against a wall"],
  ...["a train on a bridge", "a tram", "an airplane in the sky", "a helicopter", "a sailing boat", "a container ship"],
  ...["a ferry", "a canoe", "a tractor in a field", "a fire engine", "a hot-air balloon", "a rocket on its pad"],
  ...["the cockpit of a plane", "a dashboard of a car", "a wheel"],
]

const things = [
  ...[
    "a wooden chair",
    "a table lamp",
    "a clock on the wall",
    "a mirror",
    "a vase",
    "a candle",
    "a pillow",
    "a carpet",
  ],
  ...["a pair of shoes", "a leather bag", "a hat", "a winter coat", "a wrist watch", "a ring with a stone", "glasses"],
  ...["an umbrella", "a key", "a coin", "a hammer and nails", "a knife", "a pair of scissors", "a screwdriver"],
  ...["a mobile phone", "a laptop on a desk", "a keyboard", "a television", "a camera", "headphones", "a printer"],
  ...["a piano", "a violin", "a drum", "a ball", "a doll", "a teddy bear", "toy bricks", "a jigsaw puzzle"],
  ...["a washing machine", "a refrigerator", "a toothbrush", "a bar of soap", "a towel", "a broom", "a cardboard box"],
  ...["a plastic bottle", "a rope", "a ladder", "a bucket", "a fence", "a door", "a window with curtains", "a sign"],
  ...["an electrical socket", "a circuit board", "a microscope", "a globe", "a flag", "a statue", "a gravestone"],
]

const documents = [
  ...[
    "a page of printed text",
    "a handwritten note",
    "a screenshot of a website",
    "a screenshot of a phone",
    "a receipt",
  ],
  ...["an invoice", "a passport", "a business card", "a map of a city", "a road map", "a chart with bars", "a table"],
  ...["a line graph", "a diagram with arrows", "a floor plan", "a musical score", "a calendar", "a newspaper page"],
  ...["a book cover", "a poster for a film", "a menu", "a ticket", "a barcode", "a letter in an envelope", "a logo"],
  ...["a slide of a presentation", "source code on a screen", "a mathematical formula", "an error message"],
]

const art = [
  ...["an oil painting", "a watercolour", "a pencil drawing", "a cartoon", "a comic strip", "a page of a manga"],
  ...["a 3D rendering", "pixel art", "an icon", "a coloured circle", "a blue square", "geometric shapes", "a meme"],
  ...[
    "graffiti on a wall",
    "a mosaic",
    "a tattoo",
    "a sculpture of clay",
    "a child's drawing",
    "a scene of a video game",
  ],
]

const surfaces = [
  ...["a repeating pattern", "stripes", "dots", "a gradient of colours", "a plain white image", "a black image"],
  ...["brickwork", "wood grain", "rust on metal", "cracked paint", "pebbles", "sand", "clouds", "ripples on water"],
  ...["smoke", "fire", "bokeh lights", "noise", "a folded fabric", "grass seen from above"],
]

const special = [
  ...["an X-ray image", "a picture of a microscope", "a satellite image", "an aerial view", "a thermal image"],
  ...["a black and white photograph", "an old family photo", "a panorama", "a fisheye view", "a photo taken at night"],
  ...[
    "an underwater photo",
    "a collage of pictures",
    "a reflection in a window",
    "a silhouette",
    "a shadow on the ground",
  ],
  ...[
    "a still of a surveillance camera",
    "a product on a white background",
    "a stage set for a photo",
    "a green screen",
  ],
]

const ideas = [
  ...["happiness", "sadness", "freedom", "danger", "summer", "winter", "history", "technology", "nature", "business"],
  ...["health", "education", "love", "work", "home", "travel", "sport", "music", "science", "an accident"],
]

/** A few hundred captions, no two alike. */
export const backgroundPrompts: readonly string[] = [
  ...[empty, landscapes, towns, rooms, people, activities, animals, plants, food],
  ...[vehicles, things, documents, art, surfaces, special, ideas],
].flat()
