// What JavaScript asks to be made of a picture (`PixelPlan` in jpeg/index.ts), checked: nothing outside its arrays is touched.
#pragma once

#include <vector>

#include <napi.h>

#include "decode.h"
#include "resize.h"

namespace jpeg {

struct Plan {
  Window window;
  // Their arrays belong to JavaScript.
  std::vector<Target> targets;
};

// Throws TypeError where arrays are too short, or inputs are not in the window.
Plan readPlan(const Napi::Object& object);

}  // namespace jpeg
