"""The views of bench/augment.ts, made by Pillow and torchvision: python3 augment.py FOLDER.

Prints one line of JSON with versions. Then, for every line of stdin, [first, count, views], it makes that many views of
`count` of the folder's JPEG files from the first on, each file decoded once, and prints the seconds of processor time.
"""
import io
import json
import pathlib
import sys
import time

import PIL
import torch
import torchvision
from PIL import Image
from torchvision import transforms as T

torch.set_num_threads(1)
torch.manual_seed(1)
view = T.Compose(
    [
        T.RandomResizedCrop(224, interpolation=T.InterpolationMode.BICUBIC),
        T.RandAugment(),
        T.ToTensor(),
        T.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ]
)
files = [path.read_bytes() for path in sorted(pathlib.Path(sys.argv[1]).iterdir()) if path.suffix == ".jpg"]


def seconds(first, count, views):
    start = time.process_time()
    for i in range(first, first + count):
        image = Image.open(io.BytesIO(files[i % len(files)])).convert("RGB")
        for _ in range(views):
            view(image)
    return time.process_time() - start


print(json.dumps({"pillow": PIL.__version__, "torchvision": torchvision.__version__}), flush=True)
for line in sys.stdin:
    print(json.dumps(seconds(*json.loads(line))), flush=True)
