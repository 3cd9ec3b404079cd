// SPDX-License-Identifier: Apache-2.0
//
// The system's zlib, for the build tool: it compresses the layers of images.

#include <zlib.h>
